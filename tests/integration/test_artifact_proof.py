"""A whole `portside package` of a checkpoint: exported, quantized, proven on samples, reported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portside.archive import unpack
from tests.integration.tiny_ner import make_checkpoint

SAMPLES = "ada\tB-PER\nlives\tO\nin\tO\noslo\tB-LOC\n\nbo\tB-PER\npaints\tB-LOC\n"
"""The last label is one that the model does not find."""

TOML = """
[model]
path = "model"
precision = "int8"
samples = "dev.conll"
[model.gate]
agreement = 0.9
[endpoint.environment]
PORTSIDE_AGGREGATION_STRATEGY = "none"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    make_checkpoint(folder / "model")
    (folder / "dev.conll").write_text(SAMPLES)
    (folder / "portside.toml").write_text(TOML)
    return folder


@pytest.fixture(scope="module")
def packaged(project: Path) -> subprocess.CompletedProcess[str]:
    return package(project, "--json")


def package(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portside", "package", str(project), *options],
        capture_output=True,
        text=True,
        check=False,
    )


def forms(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from report["candidates"]


def test_int8_goes_in_with_its_proof(project: Path, packaged: subprocess.CompletedProcess[str]):
    assert packaged.returncode == 0, packaged.stderr

    made = json.loads(packaged.stdout)
    report = made["report"]
    assert report["chosen"] == "int8"
    assert [form["name"] for form in forms(report)] == ["fp32", "int8"]
    assert report["samples"] == {"source": "dev.conll", "texts": 2, "labeled": True}
    # Of four entities the model finds three, and nothing else.
    for form in forms(report):
        assert form["f1_before_points"] == form["f1_after_points"] == pytest.approx(600 / 7)
        assert form["agreement"] == 1
    fp32, int8 = forms(report)
    assert fp32["largest_difference"] < 1e-3 < int8["largest_difference"]
    assert int8["size_bytes"] < fp32["size_bytes"]
    folder = project / ".portside"
    written = json.loads((folder / "report.json").read_text())
    asked = written.pop("asked")  # the user's texts stay in the file
    assert [(one["inputs"], one["found"]) for one in asked] == [
        ("bo paints", [["B-PER", 0, 2]]),
        ("ada lives in oslo", [["B-LOC", 13, 17], ["B-PER", 0, 3]]),
    ]
    assert asked[0]["parameters"] == {"aggregation_strategy": "none"}
    assert written == report
    assert "int8" in (folder / "report.html").read_text()


def test_it_is_asked_with_the_aggregation_strategy_of_the_endpoint(
    project: Path, packaged: subprocess.CompletedProcess[str]
):
    answers = [
        json.loads(path.read_text())["found"]
        for path in (project / ".portside").glob("answers-*/answers.json")
    ]

    # With `none` a token's label is not joined with its neighbors', and keeps its mark.
    assert len(answers) == 3
    for found in answers:
        assert found == [[["B-PER", 0, 3], ["B-LOC", 13, 17]], [["B-PER", 0, 2]]]


def test_the_artifact_answers(
    project: Path, packaged: subprocess.CompletedProcess[str], tmp_path: Path
):
    unpack(Path(json.loads(packaged.stdout)["path"]), tmp_path / "model")
    ask = (
        "import sys; from pathlib import Path;"
        "from portside.serving.handlers.task import load_task;"
        "print([(e.entity_group, e.word) for e in load_task(Path(sys.argv[1]))"
        ".predict('bo lives in oslo')])"
    )

    done = subprocess.run(
        [sys.executable, "-c", ask, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[('PER', 'bo'), ('LOC', 'oslo')]"


def test_again_it_asks_nothing_anew_and_makes_the_same_bytes(
    project: Path, packaged: subprocess.CompletedProcess[str]
):
    before = json.loads(packaged.stdout)
    report = project / ".portside" / "report.json"
    asked = json.loads(report.read_text())["asked"]
    record = project / ".portside" / "packed.json"
    record.unlink(missing_ok=True)  # so that it is packed again
    kept = sorted(path.name for path in (project / ".portside").iterdir())

    again = json.loads(package(project, "--json").stdout)

    assert again["digest"] == before["digest"]
    assert again["report"]["candidates"] == before["report"]["candidates"]
    assert json.loads(report.read_text())["asked"] == asked != []
    record.unlink(missing_ok=True)
    assert sorted(path.name for path in (project / ".portside").iterdir()) == kept


def test_the_graph_tells_nothing_of_this_machine(
    project: Path, packaged: subprocess.CompletedProcess[str]
):
    [folder] = (project / ".portside").glob("export-*")

    assert {path.name for path in folder.iterdir()} == {
        "export.json",
        "model.onnx",
        "model.onnx.data",
    }
    assert b"site-packages" not in (folder / "model.onnx").read_bytes()


def test_samples_that_do_not_fit_are_told_of_before_anything_is_made(project: Path, tmp_path: Path):
    other = tmp_path / "project"
    shutil.copytree(project, other, ignore=shutil.ignore_patterns(".portside"))
    samples = other / "bodies.jsonl"
    samples.write_text('"ada lives"\n{"question": "Who?", "context": "ada"}\n')

    done = package(other, "--samples", str(samples))

    assert done.returncode == 2
    said = f"line 2 of `{samples}` does not fit token-classification: expected a text"
    assert said in done.stderr
    assert not (other / ".portside").exists()
