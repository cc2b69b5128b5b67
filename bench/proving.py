"""From a checkpoint to a proven artifact: how long `portside package` takes, and how much memory.

    speed     the benchmark's checkpoint, exported, quantized and proven from nothing
    trained   a checkpoint that `examples/ner/train.py` made, with its labeled samples:
              does int8 pass the gate, and how much faster is it than fp32?

Each is the command, in a process of its own, in a folder where nothing is kept from an
earlier run. Training takes minutes and better data than ships with the example, so the
second is measured where `--trained FOLDER` names one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.place import WORK, say

FOLDER: Final = WORK / "proving"

SAMPLE_S: Final = 0.05

EXPECTED_SECONDS: Final = 90
EXPECTED_BYTES: Final = 3_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """One run of `portside package`."""

    seconds: float
    peak_bytes: int
    """Most resident memory of the command and its processes together."""
    report: Mapping[str, Any]
    """Its `report.json`."""

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The form that went into the artifact."""
        return self._named(self.report["chosen"])

    @property
    def speedup(self) -> float:
        """How many times as many texts a second it answers as fp32."""
        return float(self.chosen["texts_per_s"] / self._named("fp32")["texts_per_s"])

    def _named(self, name: str) -> Mapping[str, Any]:
        forms: Iterable[Mapping[str, Any]] = self.report["candidates"]
        return next(each for each in forms if each["name"] == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proving:
    """Both; `trained` is None where no checkpoint was named."""

    speed: Proven
    trained: Proven | None


def measure_proving(checkpoint: Path, trained: Path | None) -> Proving:
    """Package one after the other."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    return Proving(
        speed=_package(_project(checkpoint, "speed")),
        trained=_package(_project(trained, "trained")) if trained else None,
    )


def _project(source: Path, name: str) -> Path:
    folder = FOLDER / name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".portside"))
    return folder


def _package(folder: Path) -> Proven:
    say(f"packaging {folder.name}, with export and proof")
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "portside", "package", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        peak = _watch(process)
        errors = process.stderr.read() if process.stderr else ""
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise SystemExit(f"bench: cannot package `{folder}`:\n{errors}")
    report = json.loads((folder / ".portside" / "report.json").read_text(encoding="utf-8"))
    return Proven(seconds=seconds, peak_bytes=peak, report=report)


def _watch(process: subprocess.Popen[str]) -> int:
    parent, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        with suppress(psutil.Error):  # one of them has just ended
            family = [parent, *parent.children(recursive=True)]
            peak = max(peak, sum(each.memory_info().rss for each in family))
        time.sleep(SAMPLE_S)
    return peak
