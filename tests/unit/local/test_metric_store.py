"""Metric data: what comes back of what was measured, and what is left of it with time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from portside.local.delegated.metric_store import RETENTION_S, Datum, Metric, MetricStore, Period

METRIC = Metric(namespace="AWS/SageMaker", name="ModelLatency", dimensions={"b": "2", "a": "1"})
NOW_S = 1_700_000_040  # a whole minute
HOUR_S = 3600


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.sqlite3"


@pytest.fixture
def store(file: Path) -> Iterator[MetricStore]:
    opened = MetricStore(file, now_s=NOW_S)
    yield opened
    opened.close()


def put(store: MetricStore, *values: float, time_s: int = NOW_S, unit: str = "None") -> None:
    store.put([Datum.of(METRIC, value, time_s=time_s, unit=unit) for value in values], now_s=NOW_S)


def minute(store: MetricStore, metric: Metric, *, unit: str | None = None) -> list[Period]:
    return store.periods(metric, start_s=NOW_S, end_s=NOW_S + 60, period_s=60, unit=unit)


def the_period(store: MetricStore, *, start_s: int = NOW_S, period_s: int = 60) -> Period:
    (period,) = store.periods(METRIC, start_s=start_s, end_s=start_s + period_s, period_s=period_s)
    return period


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sum", 110.0),
        ("Average", 11.0),
        ("Minimum", 2.0),
        ("Maximum", 20.0),
        ("SampleCount", 10.0),
        ("p0", 2.0),
        ("p50", 10.0),
        ("p90", 18.0),
        ("p99.9", 20.0),
        ("p100", 20.0),
    ],
)
def test_statistics(store: MetricStore, name: str, value: float) -> None:
    put(store, *(2.0 * number for number in range(1, 11)))

    assert the_period(store).statistic(name) == value


def test_equal_values_of_a_second_are_counted(store: MetricStore) -> None:
    put(store, 5.0, 5.0, 1.0)

    assert the_period(store).statistic("SampleCount") == 3.0
    assert the_period(store).statistic("p50") == 5.0
    assert len(the_period(store).points) == 2


@pytest.mark.parametrize("name", ["tm90", "p101", "sum", ""])
def test_a_statistic_that_is_not_there(store: MetricStore, name: str) -> None:
    put(store, 1.0)

    with pytest.raises(ValueError, match="is not built"):
        the_period(store).statistic(name)


def test_of_a_statistic_set_no_percentile_is_told(store: MetricStore) -> None:
    datum = Datum(metric=METRIC, time_s=NOW_S, minimum=1, maximum=3, sum=6, count=3)
    store.put([datum], now_s=NOW_S)

    assert the_period(store).statistic("p50") is None
    assert the_period(store).statistic("Average") == 2.0


def test_periods_begin_at_the_start_and_leave_out_the_end(store: MetricStore) -> None:
    for offset_s in (-1, 0, 29, 30, 90):
        put(store, float(offset_s), time_s=NOW_S + offset_s)

    found = store.periods(METRIC, start_s=NOW_S, end_s=NOW_S + 90, period_s=30)

    assert [(each.time_s - NOW_S, each.statistic("Sum")) for each in found] == [(0, 29.0), (30, 30)]


def test_a_metric_is_all_its_dimensions_whatever_their_order(store: MetricStore) -> None:
    put(store, 1.0)
    same = Metric(namespace=METRIC.namespace, name=METRIC.name, dimensions={"a": "1", "b": "2"})
    fewer = Metric(namespace=METRIC.namespace, name=METRIC.name, dimensions={"a": "1"})

    assert len(minute(store, same)) == 1
    assert minute(store, fewer) == []


def test_a_unit_chooses(store: MetricStore) -> None:
    put(store, 1.0, unit="Microseconds")
    put(store, 2.0, unit="Count")

    (chosen,) = minute(store, METRIC, unit="Count")
    (both,) = minute(store, METRIC)

    assert (chosen.statistic("Sum"), both.statistic("Sum")) == (2.0, 3.0)


def test_metrics_by_namespace_name_and_dimensions(store: MetricStore) -> None:
    put(store, 1.0)

    assert store.metrics(None, None) == [METRIC]
    assert store.metrics("AWS/SageMaker", "ModelLatency", dimensions=[("a", "1")]) == [METRIC]
    assert store.metrics(None, None, dimensions=[("a", None), ("b", "2")]) == [METRIC]
    assert store.metrics("AWS/Other", None) == []
    assert store.metrics(None, None, dimensions=[("a", "2")]) == []
    assert store.metrics(None, None, dimensions=[("c", None)]) == []


def test_all_of_it_or_nothing(store: MetricStore) -> None:
    def data() -> Iterator[Datum]:
        yield Datum.of(METRIC, 1.0, time_s=NOW_S)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        store.put(data(), now_s=NOW_S)

    assert store.metrics(None, None) == []


def test_after_three_hours_a_minute_is_one_point_with_the_same_sums(store: MetricStore) -> None:
    old_s = NOW_S - 4 * HOUR_S
    for offset_s in range(60):
        put(store, float(offset_s), time_s=old_s + offset_s)
    before = [the_period(store, start_s=old_s).statistic(name) for name in ("Sum", "Average")]

    store.compact(now_s=NOW_S)

    period = the_period(store, start_s=old_s)
    assert len(period.points) == 1
    assert [period.statistic(name) for name in ("Sum", "Average")] == before
    assert (period.statistic("Minimum"), period.statistic("Maximum")) == (0.0, 59.0)
    assert period.statistic("p50") is None


def test_what_is_younger_keeps_its_values(store: MetricStore) -> None:
    put(store, 1.0, 2.0, time_s=NOW_S - 2 * HOUR_S + 7)

    store.compact(now_s=NOW_S)

    assert the_period(store, start_s=NOW_S - 2 * HOUR_S).statistic("p100") == 2.0


def test_after_fifteen_days_it_is_gone_at_the_next_start(store: MetricStore, file: Path) -> None:
    put(store, 1.0)
    store.close()

    later = MetricStore(file, now_s=NOW_S + RETENTION_S + 1)

    assert later.metrics(None, None) == []
    later.close()


def test_while_it_runs_it_is_compacted_every_hour(store: MetricStore) -> None:
    put(store, 1.0)
    late_s = NOW_S + RETENTION_S + HOUR_S
    other = Metric(namespace="AWS/SageMaker", name="Invocations")

    store.put([Datum.of(other, 1.0, time_s=late_s)], now_s=late_s)

    assert store.metrics(None, None) == [other]
