"""All that one run saw, as a value: what the report, the plot and the bars are made of."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.agreement import Agreement
from bench.deploy import DeploySpeed
from bench.image import ImageSpeed
from bench.limit import BackendLimit
from bench.local import LocalSpeed
from bench.local_life import LocalLife
from bench.no_op import NoOpSpeed
from bench.overload import Overload
from bench.packing import Packing
from bench.peers import peer_versions
from bench.proving import Proving
from bench.task_speed import TaskSpeed

PACKAGES: Final = (
    "portside",
    "onnxruntime",
    "tokenizers",
    "torch",
    "transformers",
    "flask",
    "gunicorn",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where it ran."""

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What was sent."""

    count: int
    fewest_words: int
    most_words: int
    mean_words: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run; None for parts that were left out."""

    command: str
    date: str
    seconds: float
    """That the whole run took."""
    load_average: float
    """At the start: how much else the machine had to do."""
    generator: str
    machine: Machine
    versions: Mapping[str, str]
    texts: Texts
    rounds: int
    agreements: Mapping[str, Agreement] | None
    tasks: Mapping[str, TaskSpeed] | None
    limit: Mapping[str, BackendLimit] | None
    no_op: Mapping[str, NoOpSpeed] | None
    overload: Overload | None
    packing: Packing | None = None
    proving: Proving | None = None
    image: ImageSpeed | None = None
    deploy: DeploySpeed | None = None
    local: LocalSpeed | None = None
    local_life: LocalLife | None = None


def describe_machine() -> Machine:
    """This machine."""
    return Machine(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        system=platform.platform(),
        python=platform.python_version(),
    )


def _cpu_model() -> str:
    """Linux names it in a file; elsewhere the platform's word has to do."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def describe_texts(texts: Sequence[str]) -> Texts:
    """Their number and lengths."""
    words = [len(text.split()) for text in texts]
    return Texts(
        count=len(texts),
        fewest_words=min(words),
        most_words=max(words),
        mean_words=round(statistics.mean(words), 1),
    )


def versions() -> dict[str, str]:
    """Of Portside, of what it stands on, and of the peers."""
    return {name: importlib.metadata.version(name) for name in PACKAGES} | peer_versions()


def now() -> str:
    """The date of a run."""
    return dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds")
