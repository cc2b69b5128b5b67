"""What the benchmark's report says of figures that are known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.load import Load
    from bench.result import Result
    from bench.task_speed import TaskSpeed

pytestmark = pytest.mark.usefixtures("bench_is_importable")


def load(rate: float, ms: float) -> Load:
    from bench.load import PERCENTILES, Load

    return Load(requests_per_s=rate, percentiles_ms=dict.fromkeys(PERCENTILES, ms))


def speed(rate: float, *, prediction_s: float, resident: int) -> TaskSpeed:
    from bench.task_speed import CONNECTIONS, TaskSpeed

    return TaskSpeed(
        ping_s=prediction_s / 2,
        prediction_s=prediction_s,
        loads={each: load(rate, 1000 / rate) for each in CONNECTIONS},
        strings=load(rate / 4, 8000 / rate),
        resident_bytes=resident,
    )


def result(*, late: int = 0, with_tasks: bool = True) -> Result:
    from bench.agreement import Agreement
    from bench.overload import Overload, summarize
    from bench.peers import BASELINE, PORTSIDE_FP32, PORTSIDE_INT8
    from bench.result import Result, describe_machine, describe_texts

    seen = {"seconds": 1.0, "not_sent": 0, "unanswered": 0, "latest_s": 0.0}
    half = summarize(seen | {"latencies_s": {"200": [0.1] * 50}}, rate=50)
    latencies = {"200": [0.2] * (100 - late), "504": [0.25] * late, "429": [0.001] * 100}
    twice = summarize(seen | {"latencies_s": latencies}, rate=200)
    agreement = Agreement(texts=2, entities=3, largest_score_difference=1e-7)
    tasks = {
        PORTSIDE_INT8: speed(200, prediction_s=0.4, resident=200_000_000),
        PORTSIDE_FP32: speed(70, prediction_s=0.5, resident=400_000_000),
        BASELINE: speed(25, prediction_s=4, resident=660_000_000),
    }
    return Result(
        command="make bench",
        date="2026-01-01",
        seconds=600,
        load_average=0.1,
        generator="wrk",
        machine=describe_machine(),
        versions={"portside": "1"},
        texts=describe_texts(["one", "two three"]),
        rounds=2,
        agreements={PORTSIDE_INT8: agreement, PORTSIDE_FP32: agreement} if with_tasks else None,
        tasks=tasks if with_tasks else None,
        limit=None,
        no_op=None,
        overload=Overload(capacity=100, deadline_s=0.25, half=half, twice=twice),
    )


def test_bars_are_ratios_to_the_baseline_of_the_run():
    from bench.bar import make_bars

    bars = make_bars(result())

    assert [(round(bar.figure, 3), bar.is_met) for bar in bars] == [
        (8.0, True),  # int8, strings/s
        (2.8, True),  # fp32
        (0.125, True),  # p50
        (0.1, False),  # start: a tenth, not a twelfth
        (0.303, True),  # memory
        (2.0, True),  # p99 under overload
        (0.0, True),  # late
    ]


def test_a_deadline_that_cuts_requests_short_meets_no_bar():
    from bench.bar import make_bars

    *_, p99, late = make_bars(result(late=10))

    assert (p99.is_met, late.figure, late.is_met) == (True, 0.1, False)


def test_the_page_has_the_lines_that_the_readme_shows():
    from bench.page import make_page

    page = make_page(result())
    lines = re.findall(r"^.*\((?:s|ms|MB|requests/s)\) +\|.*$", page, re.MULTILINE)

    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        "start to first prediction (s)",
        "4.00",
        "0.40",
        "10.0",
    ]
    assert "| **missed** |" in page
    assert "set to 250 ms" in page


def test_a_part_of_a_run_is_reported_alone(tmp_path: Path):
    from bench.report import write_report

    write_report(result(with_tasks=False), tmp_path)

    figures = json.loads((tmp_path / "serving.json").read_text())
    assert figures["tasks"] is None
    assert [bar["is_met"] for bar in figures["bars"]] == [True, True]
    page = (tmp_path / "serving.md").read_text()
    assert "## More than it can carry" in page
    assert "## In short" not in page
    assert not (tmp_path / "serving.svg").exists()
