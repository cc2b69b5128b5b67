"""The last hour of a variant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from portside.aws.metrics import Metric, Point
from portside.console.plot import (
    CLIENT_ERRORS,
    COLUMNS,
    MODEL_P50,
    MODEL_P99,
    REQUESTS,
    SLOWEST_START,
    VariantPlots,
    Which,
    count,
    duration,
    metrics_of,
    span_until,
    view_plots,
    view_pulse,
)
from tests.unit.console.console_fakes import NOW

START, END = span_until(NOW)
Measured = dict[Metric, list[Point]]


def make_measured(values: Mapping[Which, Mapping[int, float]]) -> Measured:
    return {
        Metric(endpoint="ner", variant="v", name=name, statistic=statistic): [
            Point(time=START + timedelta(minutes=minute), value=value)
            for minute, value in points.items()
        ]
        for (name, statistic), points in values.items()
    }


def plots(measured: Measured, *, has_cold_starts: bool = True) -> VariantPlots:
    return view_plots(
        measured, endpoint="ner", variant="v", start=START, has_cold_starts=has_cold_starts
    )


def test_an_hour_is_whole_minutes_and_holds_this_one() -> None:
    assert timedelta(hours=1) == END - START
    assert NOW < END <= NOW + timedelta(minutes=1)
    assert START.second == START.microsecond == 0


def test_nothing_measured_is_no_chart() -> None:
    assert plots({}).charts == []
    assert plots(make_measured({REQUESTS: {}})).charts == []


def test_only_this_variant_of_this_endpoint_is_drawn() -> None:
    measured = make_measured({REQUESTS: {1: 5}})
    other = view_plots(measured, endpoint="ner", variant="other", start=START, has_cold_starts=True)

    assert other.charts == []


def test_errors_are_cut_out_of_the_invocations() -> None:
    shown = plots(make_measured({REQUESTS: {1: 10, 2: 5}, CLIENT_ERRORS: {1: 4, 2: 0}}))
    requests = shown.charts[0]

    assert requests.headline == "15 requests, 4 failed"
    assert [hover.text[5:] for hover in requests.hovers] == [
        " · answered 6 · 4xx 4",
        " · answered 5",
    ]


def test_latency_is_told_of_the_last_minute_in_milliseconds() -> None:
    shown = plots(make_measured({MODEL_P50: {1: 9_000, 4: 12_300}, MODEL_P99: {4: 1_450_000}}))

    assert shown.charts[1].headline == "latest 12.3 ms, p99 1.45 s"


def test_cold_starts_are_for_serverless_variants() -> None:
    measured = make_measured({REQUESTS: {1: 1}, SLOWEST_START: {1: 640_000}})
    measured |= make_measured({("ModelSetupTime", "SampleCount"): {1: 2}})

    assert plots(measured).charts[-1].headline == "2, the slowest 640 ms"
    assert len(plots(measured, has_cold_starts=False).charts) == 3


def test_the_table_has_a_row_for_each_minute_newest_first() -> None:
    rows = plots(make_measured({REQUESTS: {1: 10, 3: 5}, MODEL_P50: {3: 8_000}})).rows
    heads = list(COLUMNS)

    assert [row.cells[heads.index("requests")] for row in rows] == ["5", "10"]
    assert [row.cells[heads.index("model p50")] for row in rows] == ["8 ms", ""]
    assert rows[0].time == START + timedelta(minutes=3)


def test_points_outside_of_the_hour_are_left_out() -> None:
    assert plots(make_measured({REQUESTS: {-1: 3, 60: 3}})).charts == []


def test_all_columns_are_asked_for() -> None:
    asked = metrics_of("ner", "v")

    assert len(asked) == len(set(asked)) == len(COLUMNS)


def test_a_pulse_sums_three_minutes_and_all_variants() -> None:
    measured = make_measured({REQUESTS: {0: 2, 2: 2, 3: 1}, CLIENT_ERRORS: {0: 1}})
    measured[Metric(endpoint="other", variant="v", name="Invocations", statistic="Sum")] = [
        Point(time=START, value=100)
    ]
    pulse = view_pulse(measured, endpoint="ner", start=START)

    assert pulse is not None
    assert (pulse.requests, pulse.failed) == (5, 1)
    assert pulse.heights == [1, 0.25, *[0.0] * 18]
    assert view_pulse({}, endpoint="ner", start=START) is None


@pytest.mark.parametrize(
    ("microseconds", "words"),
    [(840, "0.84 ms"), (12_340, "12.3 ms"), (840_000, "840 ms"), (1_240_000, "1.24 s")],
)
def test_durations(microseconds: float, words: str) -> None:
    assert duration(microseconds) == words


def test_counts() -> None:
    assert [count(1200), count(2.5), count(0)] == ["1,200", "2.5", "0"]
