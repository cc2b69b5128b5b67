"""Latency as a picture: from p50 to p99, each server at each number of connections."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.task_speed import CONNECTIONS, TaskSpeed

OURS: Final = "#0b6e4f"
OTHERS: Final = "#8a8f98"


def draw_latencies(tasks: Mapping[str, TaskSpeed], folder: Path) -> None:
    """`serving.svg` and `serving.png` in `folder`."""
    # Only here: it is slow to import, and only the benchmark's own requirements bring it.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    # Text stays text, and the same figures give the same bytes.
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "portside", "font.size": 9}
    from matplotlib import pyplot as plt  # noqa: PLC0415
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter  # noqa: PLC0415

    figure, panels = plt.subplots(
        1, len(CONNECTIONS), figsize=(10, 3), sharey=True, layout="constrained"
    )
    names = list(tasks)
    for panel, connections in zip(panels, CONNECTIONS, strict=True):
        for place, (name, speed) in enumerate(tasks.items()):
            load = speed.loads[connections]
            color = OURS if name.startswith("Portside") else OTHERS
            panel.plot([load.p50_ms, load.p99_ms], [place, place], color=color, linewidth=2)
            panel.plot(load.p50_ms, place, "o", color=color)
            panel.plot(load.p99_ms, place, "|", color=color, markersize=10, markeredgewidth=2)
            label = f"{load.requests_per_s:.0f}/s"
            panel.annotate(
                label, (load.p50_ms, place), (0, 6), textcoords="offset points", fontsize=7
            )
        noun = "connection" if connections == 1 else "connections"
        panel.set(xscale="log", title=f"{connections} {noun}", xlabel="latency, ms")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.4, -0.8)
        panel.grid(axis="x", color="#e3e5e8", linewidth=0.6)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(axis="y", length=0)
    figure.suptitle("From p50 (●) to p99 (|), one string a request, and requests/s", fontsize=10)
    figure.savefig(folder / "serving.svg", metadata={"Date": None})
    figure.savefig(folder / "serving.png", dpi=150)
