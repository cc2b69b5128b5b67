from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from portside.artifact.folder.content import LeftOut
from portside.artifact.proof.proof import Likeness
from portside.artifact.report.report import make_report, to_json
from tests.unit.artifact.report_values import (
    MB,
    make_artifact,
    make_candidate,
    make_example,
    make_figures,
    make_proof,
)

ROOT = Path(__file__).parents[3]

COLD_START = {"download_s": float, "unpack_s": float, "load_s": float, "total_s": float}
FIGURES = {
    "size_bytes": int,
    "resident_bytes": int,
    "latency_p50_ms": float,
    "latency_p90_ms": float,
    "latency_p99_ms": float,
    "texts_per_s": float,
    "load_s": float,
    "cold_start": COLD_START,
}
CANDIDATE = FIGURES | {
    "name": str,
    "precision": str,
    "verdict": str,
    "reason": str,
    "largest_difference": float,
    "agreement": float,
    "f1_before_points": float | None,
    "f1_after_points": float | None,
}
ASKED = {
    "inputs": str | dict,
    "parameters": dict,
    "found": [[str | int]],
    "is_exclusive": bool,
}
SCHEMA = {
    "schema_version": int,
    "model": str,
    "task": str,
    "chosen": str,
    "samples": {"source": str, "texts": int, "labeled": bool},
    "gate": {"agreement": float, "f1_drop_points": float},
    "original": FIGURES,
    "candidates": [CANDIDATE],
    "asked": [ASKED],
    "cold_start_assumptions": {"download_mb_per_s": float, "unpack_mb_per_s": float},
    "artifact": {"file": str, "digest": str, "size_bytes": int, "members": [str]},
    "left_out": {
        "saved_bytes": int,
        "files": [{"path": str, "size_bytes": int, "reason": str}],
    },
    "machine": {"cpu": str, "cores": int},
    "versions": {"portside": str, "onnxruntime": str, "torch": str | None},
    "took_s": float,
}


def faults(value: Any, schema: Any, path: str = "report") -> list[str]:
    """Where a value is not what the schema says."""
    match schema:
        case dict():
            if not isinstance(value, dict) or value.keys() != schema.keys():
                return [f"{path}: {value!r}"]
            return [
                fault
                for key in schema
                for fault in faults(value[key], schema[key], f"{path}.{key}")
            ]
        case [each]:
            if not isinstance(value, list):
                return [f"{path}: {value!r}"]
            return [fault for item in value for fault in faults(item, each, f"{path}[]")]
        case _:
            return [] if isinstance(value, schema) else [f"{path}: {value!r}"]


def keys(schema: Any) -> set[str]:
    match schema:
        case dict():
            return set(schema).union(*map(keys, schema.values()))
        case [each]:
            return keys(each)
        case _:
            return set()


def test_the_json_is_what_the_schema_says():
    value = json.loads(to_json(make_example()))

    assert faults(value, SCHEMA) == []
    assert faults(value | {"model": 1}, SCHEMA) == ["report.model: 1"]  # it does look


def test_the_documents_name_every_key():
    document = (ROOT / "docs" / "reference" / "report.md").read_text(encoding="utf-8")

    assert [key for key in keys(SCHEMA) if f"`{key}`" not in document] == []


def test_the_json_holds_the_figures():
    report = make_example()
    value = json.loads(to_json(report))
    chosen = next(one for one in value["candidates"] if one["name"] == value["chosen"])

    assert chosen["verdict"] == "chosen"
    assert (chosen["agreement"], chosen["f1_before_points"], chosen["f1_after_points"]) == (
        0.998,
        61.2,
        61.1,
    )
    assert value["artifact"]["digest"] == report.artifact.digest
    assert value["left_out"]["saved_bytes"] == 543_404_100
    assert value["left_out"]["files"][0]["path"] == "checkpoint-500"
    assert value["gate"] == {"agreement": 0.995, "f1_drop_points": 0.2}


def test_the_json_holds_what_was_found_in_samples():
    value = json.loads(to_json(make_example()))

    assert value["asked"] == [
        {
            "inputs": "Ada met Grace",
            "parameters": {"aggregation_strategy": "average"},
            "found": [["PER", 0, 3], ["PER", 8, 13]],
            "is_exclusive": True,
        }
    ]


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_null(broken: float):
    candidate = make_candidate(likeness=Likeness(largest_difference=broken, agreement=0.9))
    report = make_example(proof=make_proof(candidates=(candidate,)))

    value = json.loads(to_json(report), parse_constant=pytest.fail)

    assert value["candidates"][0]["largest_difference"] is None


def test_a_name_that_is_not_utf_8_is_spelled_out():
    name = b"old-\xff.tar".decode("utf-8", "surrogateescape")
    left_out = LeftOut(path=PurePosixPath(name), size_bytes=1, reason="archive")
    report = make_example(artifact=make_artifact(left_out=(left_out,)))

    written = to_json(report)

    assert json.loads(written)["left_out"]["files"][0]["path"] == r"old-\udcff.tar"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ((7.0,), 50, 7.0),
        ((7.0,), 99, 7.0),
        ((1.0, 2.0), 50, 1.0),
        ((1.0, 2.0), 99, 2.0),
        (tuple(map(float, range(1, 101))), 90, 90.0),
        (tuple(map(float, range(1, 101))), 99, 99.0),
        (tuple(map(float, range(1, 1001))), 99, 990.0),
    ],
)
def test_percentiles_are_values_that_were_measured(
    values: tuple[float, ...], percent: float, expected: float
):
    figures = make_figures(7.0, latencies_ms=values)

    assert figures.latency_ms(percent) == expected


def test_a_cold_start_is_download_unpacking_and_loading():
    chosen = make_candidate(figures=make_figures(3.0, size_mb=20, load_s=0.5))
    original = make_figures(9.0, size_mb=80, load_s=4.0)
    report = make_example(
        proof=make_proof(original=original, candidates=(chosen,)),
        artifact=make_artifact(size_bytes=17 * MB),
    )

    after = report.cold_start(chosen.figures)
    before = report.cold_start(original)

    assert (after.download_s, after.unpack_s, after.load_s) == (0.2, 0.17, 0.5)
    assert after.total_s == pytest.approx(0.87)
    assert before.download_s == pytest.approx(4 * after.download_s)
    assert before.total_s == pytest.approx(4 * 0.37 + 4.0)


def test_a_report_knows_its_machine():
    report = make_report(make_proof(), make_artifact())

    assert report.machine.cpu
    assert report.machine.cores >= 1
    assert report.versions["portside"]
    assert set(report.versions) == {"portside", "onnxruntime", "torch", "transformers"}
