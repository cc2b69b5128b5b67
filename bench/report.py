"""The result in files: a page of the docs, its figures as JSON, the plot."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from bench.bar import make_bars
from bench.page import make_page
from bench.plot import draw_latencies
from bench.result import Result


def write_report(result: Result, folder: Path) -> None:
    """`serving.md` and `serving.json`, and the plot as SVG and PNG, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    bars = [asdict(bar) | {"is_met": bar.is_met} for bar in make_bars(result)]
    figures = json.dumps(asdict(result) | {"bars": bars}, indent=2)
    (folder / "serving.json").write_text(figures + "\n", encoding="utf-8")
    (folder / "serving.md").write_text(make_page(result), encoding="utf-8")
    if result.tasks is not None:
        draw_latencies(result.tasks, folder)
