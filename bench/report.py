"""The result as a value, a table, a JSON file and a page of the docs."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.agreement import Agreement
from bench.round import MANY_CONNECTIONS, Round

COMMAND: Final = "make bench"
PACKAGES: Final = (
    "portside",
    "onnxruntime",
    "tokenizers",
    "uvicorn",
    "torch",
    "transformers",
    "flask",
    "gunicorn",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured quantity: how to read it off a round, and which way is better."""

    name: str
    unit: str
    digits: int
    read: Callable[[Round], float]
    more_is_better: bool = False


FIGURES: Final = (
    Figure(name="start to first `/ping` 200", unit="s", digits=2, read=lambda r: r.ping_s),
    Figure(name="start to first prediction", unit="s", digits=2, read=lambda r: r.prediction_s),
    Figure(name="1 connection, p50", unit="ms", digits=1, read=lambda r: r.one_connection.p50_ms),
    Figure(name="1 connection, p99", unit="ms", digits=1, read=lambda r: r.one_connection.p99_ms),
    Figure(
        name="1 connection, throughput",
        unit="requests/s",
        digits=1,
        read=lambda r: r.one_connection.requests_per_s,
        more_is_better=True,
    ),
    Figure(
        name=f"{MANY_CONNECTIONS} connections, throughput",
        unit="requests/s",
        digits=1,
        read=lambda r: r.many_connections.requests_per_s,
        more_is_better=True,
    ),
    Figure(
        name=f"{MANY_CONNECTIONS} connections, p99",
        unit="ms",
        digits=1,
        read=lambda r: r.many_connections.p99_ms,
    ),
    Figure(
        name="resident memory after the load",
        unit="MB",
        digits=0,
        read=lambda r: r.resident_bytes / 1e6,
    ),
)


def make(
    rounds: Mapping[str, Sequence[Round]], *, agreement: Agreement, texts: Sequence[str]
) -> dict[str, Any]:
    """All that was seen, ready for JSON: rounds as they are, and medians with their ratio."""
    words = [len(text.split()) for text in texts]
    return {
        "command": COMMAND,
        "date": dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "model": "DistilBERT-base token classification, 9 labels, float32",
        "texts": {
            "count": len(texts),
            "words_mean": round(statistics.mean(words), 1),
            "words_range": [min(words), max(words)],
        },
        "agreement": asdict(agreement),
        "figures": [_figure(figure, rounds) for figure in FIGURES],
        "rounds": {name: [asdict(each) for each in measured] for name, measured in rounds.items()},
    }


def _figure(figure: Figure, rounds: Mapping[str, Sequence[Round]]) -> dict[str, Any]:
    medians = {
        name: statistics.median(figure.read(each) for each in measured)
        for name, measured in rounds.items()
    }
    better, worse = ("portside", "baseline") if figure.more_is_better else ("baseline", "portside")
    return {
        "name": figure.name,
        "unit": figure.unit,
        **{name: round(median, figure.digits) for name, median in medians.items()},
        "times_better": round(medians[better] / medians[worse], 2),
    }


def _machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    """Linux names it in a file; elsewhere the platform's word has to do."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def table(result: Mapping[str, Any]) -> str:
    """The figures as a Markdown table, which reads as well in a terminal."""
    head = ("", "baseline", "Portside", "times better")
    rows = [
        (
            f"{figure['name']} ({figure['unit']})",
            str(figure["baseline"]),
            str(figure["portside"]),
            str(figure["times_better"]),
        )
        for figure in result["figures"]
    ]
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    lines = [_row(head, widths), _row(tuple("-" * width for width in widths), widths)]
    return "\n".join([*lines, *(_row(row, widths) for row in rows)])


def _row(cells: tuple[str, ...], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def write(result: Mapping[str, Any], folder: Path) -> None:
    """`serving.json` and `serving.md` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "serving.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (folder / "serving.md").write_text(_page(result), encoding="utf-8")


def _page(result: Mapping[str, Any]) -> str:
    machine, agreement, texts = result["machine"], result["agreement"], result["texts"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    rounds = len(next(iter(result["rounds"].values())))
    low, high = texts["words_range"]
    return f"""# Serving, beside a tutorial's Flask app

Written by `{result["command"]}` on {result["date"]}; do not edit.

{table(result)}

Medians over {rounds} rounds, each with a fresh process, the two servers in turn. Only the last
column says something about another machine.

- **Model**: {result["model"]}; the same weights for both.
- **Baseline**: `bench/baseline`: Flask under gunicorn with one worker, a transformers pipeline
  with aggregation strategy `average`, torch on the CPU.
- **Portside**: `python -m portside.serving` on the artifact that `portside package` makes of the
  checkpoint: the same weights as ONNX, nothing quantized.
- **Texts**: {texts["count"]} English sentences of {low} to {high} words, {texts["words_mean"]} on
  average, one a request.
- **Same answers**: {agreement["entities"]} entities in {agreement["texts"]} texts, spans and
  labels equal, scores at most {agreement["largest_score_difference"]:.1g} apart. Nothing is
  measured where they are not.
- **Memory**: resident set of the whole process tree.
- **Machine**: {machine["cpu"]}, {machine["cores"]} cores, {machine["memory_gb"]} GB,
  {machine["system"]}, Python {machine["python"]}.
- **Versions**: {versions}.
"""
