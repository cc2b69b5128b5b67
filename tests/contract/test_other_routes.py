"""What batch transform and detailed observability ask for, where a container has it."""

from __future__ import annotations

import json
import re

import pytest

from tests.contract.wire import Target

SAMPLE = re.compile(
    r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\])*",?)*\})? '
    r"(-?[0-9.]+([eE][+-]?[0-9]+)?|[+-]Inf|NaN)( -?[0-9]+)?"
)
"""A line of Prometheus's text format, version 0.0.4."""


@pytest.mark.should
def test_execution_parameters_are_what_batch_transform_reads(target: Target):
    answer = target.ask("GET", "/execution-parameters")

    assert answer.status == 200
    parameters = json.loads(answer.body)
    concurrent, payload_mb = parameters["MaxConcurrentTransforms"], parameters["MaxPayloadInMB"]
    assert parameters["BatchStrategy"] in {"MULTI_RECORD", "SINGLE_RECORD"}
    assert isinstance(concurrent, int)
    assert concurrent >= 1
    assert isinstance(payload_mb, int)
    assert concurrent * payload_mb <= 100


@pytest.mark.should
def test_metrics_are_in_the_format_of_prometheus(target: Target):
    target.invoke()

    answer = target.ask("GET", "/metrics")

    assert answer.status == 200
    assert answer.content_type == "text/plain"
    assert answer.text.endswith("\n")
    samples = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert samples
    assert [line for line in samples if not SAMPLE.fullmatch(line)] == []


@pytest.mark.should
def test_metrics_name_no_series_twice(target: Target):
    text = target.ask("GET", "/metrics").text

    samples = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    typed = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)

    assert len(samples) == len(set(samples))
    assert len(typed) == len(set(typed))
    assert all(sample.startswith(tuple(typed)) for sample in samples)
