"""Metrics, read by the parser of Prometheus's own client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from portside.serving.metric import Histogram, Metrics
from portside.serving.outcome import Outcome, Stages


def read(metrics: Metrics, *, in_flight: int = 0, is_ready: bool = True) -> dict[str, Any]:
    """The samples, by name and labels."""
    text = metrics.text(in_flight=in_flight, is_ready=is_ready)
    assert text.endswith("\n")
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ended(*, status: int = 200, total_s: float = 0.003, stages: Stages | None = None) -> Outcome:
    return Outcome(
        at=0.0,
        request_id="a",
        headers={},
        path="/invocations",
        status=status,
        total_s=total_s,
        bytes_in=0,
        bytes_out=0,
        stages=stages,
    )


def test_requests_are_counted_by_status():
    metrics = Metrics()
    metrics.count([ended(status=200), ended(status=429)])
    metrics.count([ended(status=200)])

    samples = read(metrics)

    assert samples["portside_requests_total[('status', '200')]"] == 2
    assert samples["portside_requests_total[('status', '429')]"] == 1
    assert samples["portside_request_seconds_count[]"] == 3
    assert samples["portside_request_seconds_sum[]"] == pytest.approx(0.009)
    assert samples["portside_request_seconds_bucket[('le', '0.0025')]"] == 0
    assert samples["portside_request_seconds_bucket[('le', '0.005')]"] == 3
    assert samples["portside_stage_seconds_count[('stage', 'decode')]"] == 0


def test_stages_batch_and_tokens_of_a_request_are_counted():
    metrics = Metrics()
    stages = Stages(
        decode_s=0.001, queue_s=0.2, predict_s=3.0, encode_s=0.04, batch_size=6, tokens=300
    )
    metrics.count([ended(status=429), ended(stages=stages)])

    samples = read(metrics)

    for stage, seconds in [("decode", 0.001), ("queue", 0.2), ("predict", 3.0), ("encode", 0.04)]:
        assert samples[f"portside_stage_seconds_sum[('stage', '{stage}')]"] == seconds
        assert samples[f"portside_stage_seconds_count[('stage', '{stage}')]"] == 1
    assert samples["portside_batch_inputs_bucket[('le', '4')]"] == 0
    assert samples["portside_batch_inputs_bucket[('le', '8')]"] == 1
    assert samples["portside_request_tokens_sum[]"] == 300


def test_gauges_are_as_they_are_now():
    samples = read(Metrics(), in_flight=7, is_ready=False)

    assert samples["portside_in_flight[]"] == 7
    assert samples["portside_ready[]"] == 0
    assert samples["process_resident_memory_bytes[]"] > 10_000_000


def test_every_family_says_what_it_is():
    text = Metrics().text(in_flight=0, is_ready=True)

    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in {"counter", "gauge", "histogram"}


BOUNDS = st.lists(
    st.floats(0.001, 1000, allow_subnormal=False), min_size=1, max_size=6, unique=True
).map(sorted)


@given(BOUNDS, st.lists(st.floats(0, 2000)))
def test_a_histogram_is_cumulative_and_loses_nothing(bounds: list[float], values: Iterable[float]):
    values = list(values)
    histogram = Histogram(bounds)
    histogram.observe(values[:3])
    histogram.observe(values[3:])

    *buckets, total, count = histogram.lines("h")

    counts = [int(line.rpartition(" ")[2]) for line in buckets]
    expected = [sum(value <= bound for value in values) for bound in bounds]
    assert counts == [*expected, len(values)]
    assert float(total.rpartition(" ")[2]) == pytest.approx(sum(values))
    assert int(count.rpartition(" ")[2]) == len(values)
