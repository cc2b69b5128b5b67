"""Threshold alarms: CloudWatch's own table of missing data, and what a running period tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from portside.local.delegated.alarm import AlarmState, Missing, ThresholdAlarm, evaluate
from portside.local.delegated.metric_store import Datum, Metric, MetricStore

METRIC = Metric(namespace="AWS/SageMaker", name="Invocation5XXErrors", dimensions={"a": "b"})
NOW_S = 1_700_000_040  # a whole minute
ALARM = ThresholdAlarm(
    metric=METRIC,
    statistic="Maximum",
    period_s=60,
    comparison="GreaterThanThreshold",
    threshold=0.5,
    evaluation_periods=3,
    datapoints_to_alarm=3,
)
OK, RINGS, UNKNOWN = AlarmState.OK, AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA
RETAIN = None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetricStore]:
    opened = MetricStore(tmp_path / "metrics.sqlite3", now_s=NOW_S)
    yield opened
    opened.close()


def fill(store: MetricStore, minutes: str, *, end_s: int = NOW_S) -> None:
    """A letter a minute up to the end: `X` breaches, `0` does not, `-` has no data."""
    data = [
        Datum.of(METRIC, float(letter == "X"), time_s=end_s - 60 * ago)
        for ago, letter in enumerate(reversed(minutes), start=1)
        if letter != "-"
    ]
    store.put(data, now_s=NOW_S)


# CloudWatch User Guide, "How alarm state is evaluated when data is missing", 3 out of 3; the
# columns are missing, ignore, breaching, notBreaching.
TABLE = [
    ("0-X-X", (OK, OK, OK, OK)),
    ("0----", (OK, OK, OK, OK)),
    ("-----", (UNKNOWN, RETAIN, RINGS, OK)),
    ("0XX-X", (RINGS, RINGS, RINGS, RINGS)),
    ("--X--", (RINGS, RETAIN, RINGS, OK)),
]


@pytest.mark.parametrize("before", [OK, RINGS])
@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize(("minutes", "states"), TABLE)
def test_missing_data(
    store: MetricStore,
    minutes: str,
    states: tuple[AlarmState | None, ...],
    column: int,
    before: AlarmState,
) -> None:
    fill(store, minutes)
    alarm = replace(ALARM, missing=list(Missing)[column])

    assert evaluate(alarm, store, now_s=NOW_S, before=before) is (states[column] or before)


@pytest.mark.parametrize(
    ("minutes", "needed", "state"),
    [("X0X", 2, RINGS), ("X00", 2, OK), ("X0X", 3, OK), ("00X", 1, RINGS), ("XXX", 3, RINGS)],
)
def test_so_many_out_of_three(
    store: MetricStore, minutes: str, needed: int, state: AlarmState
) -> None:
    fill(store, minutes)

    alarm = replace(ALARM, datapoints_to_alarm=needed)
    assert evaluate(alarm, store, now_s=NOW_S, before=OK) is state


@pytest.mark.parametrize(
    ("comparison", "value", "state"),
    [
        ("GreaterThanThreshold", 1.0, OK),
        ("GreaterThanThreshold", 1.1, RINGS),
        ("GreaterThanOrEqualToThreshold", 1.0, RINGS),
        ("LessThanThreshold", 1.0, OK),
        ("LessThanThreshold", 0.9, RINGS),
        ("LessThanOrEqualToThreshold", 1.0, RINGS),
    ],
)
def test_comparisons(store: MetricStore, comparison: str, value: float, state: AlarmState) -> None:
    store.put([Datum.of(METRIC, value, time_s=NOW_S - 60)], now_s=NOW_S)
    alarm = replace(
        ALARM, comparison=comparison, threshold=1.0, evaluation_periods=1, datapoints_to_alarm=1
    )

    assert evaluate(alarm, store, now_s=NOW_S, before=UNKNOWN) is state


@pytest.mark.parametrize(
    ("statistic", "comparison", "value", "state"),
    [
        ("Maximum", "GreaterThanThreshold", 1.0, RINGS),
        ("Sum", "GreaterThanThreshold", 1.0, RINGS),
        ("SampleCount", "GreaterThanThreshold", 1.0, RINGS),
        ("Average", "GreaterThanThreshold", 1.0, UNKNOWN),
        ("p99", "GreaterThanThreshold", 1.0, UNKNOWN),
        ("Minimum", "LessThanThreshold", 0.0, RINGS),
        ("Maximum", "LessThanThreshold", 0.0, UNKNOWN),
        ("Maximum", "GreaterThanThreshold", 0.0, UNKNOWN),
    ],
)
def test_a_running_period_counts_where_its_end_changes_nothing(
    store: MetricStore, statistic: str, comparison: str, value: float, state: AlarmState
) -> None:
    store.put([Datum.of(METRIC, value, time_s=NOW_S + 5)], now_s=NOW_S + 5)
    alarm = replace(
        ALARM,
        statistic=statistic,
        comparison=comparison,
        evaluation_periods=1,
        datapoints_to_alarm=1,
    )

    assert evaluate(alarm, store, now_s=NOW_S + 10, before=OK) is state
