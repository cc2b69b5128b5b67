"""The report card of an artifact: what `portside package` tells about what it made.

    Proof ────────┐                   ┌─▶ to_json            report.json, for programs
    Artifact ─────┼▶ make_report ─▶ Report ─▶ to_html        report.html (see `page`)
    this machine ─┘                   └─▶ sentence, rows     the terminal (see `text`)

docs/reference/report.md explains each figure and the keys of the JSON.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portside.artifact.bundle import Artifact
    from portside.artifact.proof.proof import Asked, Candidate, Figures, Proof

SCHEMA_VERSION: Final = 1
"""Of `report.json`; grows when a key changes its meaning or goes, not when one comes."""

PACKAGES: Final = ("portside", "onnxruntime", "torch", "transformers")
"""Those whose versions decide what a report shows."""

DOWNLOAD_MB_PER_S: Final = 85.0
"""From S3 with one request: "one concurrent request for each 85-90 MB/s of desired network
throughput" (S3 User Guide, Performance design patterns). That SageMaker makes one is assumed."""

UNPACK_MB_PER_S: Final = 100.0
"""Of the archive's bytes; assumed. gzip 1.12 takes 120 MB/s of packed fp32 weights on one core of a
Xeon server; a core of a small serverless instance is likely to be slower."""

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the figures come from."""

    cpu: str
    cores: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """What Portside has a hand in of a serverless endpoint's cold start, predicted.

    Placing the instance and fetching the image come on top: AWS does not say how
    long they take, and they are the same for each form of a model.
    """

    download_s: float
    unpack_s: float
    load_s: float
    """From the start of the process to the first answer, as measured on this machine."""

    @property
    def total_s(self) -> float:
        """All of it, one after the other."""
        return self.download_s + self.unpack_s + self.load_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the report card shows."""

    proof: Proof
    artifact: Artifact
    machine: Machine
    versions: Mapping[str, str | None]
    """Of `PACKAGES`; None for what is not installed."""

    @property
    def saved_bytes(self) -> int:
        """Of the files that were left out."""
        return sum(left.size_bytes for left in self.artifact.left_out)

    def cold_start(self, form: Figures) -> ColdStart:
        """Predicted with a form's weights; for others than the chosen the artifact is scaled."""
        scale = form.size_bytes / max(self.proof.chosen.figures.size_bytes, 1)
        megabytes = self.artifact.size_bytes * scale / MEGABYTE
        return ColdStart(
            download_s=megabytes / DOWNLOAD_MB_PER_S,
            unpack_s=megabytes / UNPACK_MB_PER_S,
            load_s=form.load_s,
        )


def make_report(proof: Proof, artifact: Artifact) -> Report:
    """The report of an artifact that was proven on this very machine."""
    return Report(
        proof=proof,
        artifact=artifact,
        machine=Machine(cpu=_cpu(Path("/proc/cpuinfo")), cores=os.cpu_count() or 1),
        versions={name: _version(name) for name in PACKAGES},
    )


def to_json(report: Report) -> bytes:
    """`report.json`, in UTF-8; a number that is none (NaN, infinity) is null."""
    proof, artifact = report.proof, report.artifact
    value = {
        "schema_version": SCHEMA_VERSION,
        "model": proof.model,
        "task": proof.task,
        "chosen": proof.chosen.name,
        "samples": {
            "source": proof.samples.source,
            "texts": proof.samples.texts,
            "labeled": proof.samples.labeled,
        },
        "gate": {"agreement": proof.gate.agreement, "f1_drop_points": proof.gate.f1_drop},
        "original": _figures(report, proof.original),
        "candidates": [_candidate(report, one) for one in proof.candidates],
        "cold_start_assumptions": {
            "download_mb_per_s": DOWNLOAD_MB_PER_S,
            "unpack_mb_per_s": UNPACK_MB_PER_S,
        },
        "asked": [_asked(one) for one in proof.asked],
        "artifact": {
            "file": artifact.path.name,
            "digest": artifact.digest,
            "size_bytes": artifact.size_bytes,
            "members": artifact.members,
        },
        "left_out": {
            "saved_bytes": report.saved_bytes,
            "files": [
                {"path": str(left.path), "size_bytes": left.size_bytes, "reason": left.reason}
                for left in artifact.left_out
            ],
        },
        "machine": {"cpu": report.machine.cpu, "cores": report.machine.cores},
        "versions": dict(report.versions),
        "took_s": round(proof.took_s, 3),
    }
    return (json.dumps(portable(value), indent=2, ensure_ascii=False) + "\n").encode()


def is_report(content: bytes) -> bool:
    """Whether a file's content is what `to_json` makes, of whatever version."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and {"schema_version", "artifact", "candidates"} <= value.keys()


def _asked(asked: Asked) -> dict[str, Any]:
    return {
        "inputs": asked.inputs,
        "parameters": dict(asked.parameters),
        "found": sorted(asked.found),
        "is_exclusive": asked.is_exclusive,
    }


def _candidate(report: Report, candidate: Candidate) -> dict[str, Any]:
    likeness = candidate.likeness
    return {
        "name": candidate.name,
        "precision": candidate.precision,
        "verdict": str(candidate.verdict),
        "reason": candidate.reason,
        "largest_difference": likeness.largest_difference,
        "agreement": likeness.agreement,
        "f1_before_points": likeness.f1_before,
        "f1_after_points": likeness.f1_after,
        **_figures(report, candidate.figures),
    }


def _figures(report: Report, form: Figures) -> dict[str, Any]:
    start = report.cold_start(form)
    return {
        "size_bytes": form.size_bytes,
        "resident_bytes": form.resident_bytes,
        "latency_p50_ms": round(form.latency_ms(50), 3),
        "latency_p90_ms": round(form.latency_ms(90), 3),
        "latency_p99_ms": round(form.latency_ms(99), 3),
        "texts_per_s": round(form.texts_per_s, 3),
        "load_s": round(form.load_s, 3),
        "cold_start": {
            "download_s": round(start.download_s, 3),
            "unpack_s": round(start.unpack_s, 3),
            "load_s": round(start.load_s, 3),
            "total_s": round(start.total_s, 3),
        },
    }


def portable(value: object) -> object:
    r"""What every parser of JSON reads: no NaN, and no halves of characters from broken names.

    Bytes of a file's name that are no UTF-8 are spelled `\udcff`.
    """
    match value:
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {portable(key): portable(item) for key, item in value.items()}
        case list() | tuple():
            return [portable(item) for item in value]
        case _:
            return value


def _cpu(cpuinfo: Path) -> str:
    """Linux names the model in a file; elsewhere the architecture has to do."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
