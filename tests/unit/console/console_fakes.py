"""An account that the console can be shown without any AWS, and AWS's descriptions in it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from portside.aws.logs import LogLine
from portside.aws.metrics import Metric, Point
from portside.console.account import Described, EndpointPage, LogPart, LogQuery
from portside.console.trial import Answer, Trial
from portside.errors import RemoteError

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
ARN = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/"
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def make_described(name: str = "ner", **members: Any) -> Described:
    """A serverless endpoint that is InService, with other or more members of its description."""
    endpoint = {
        "EndpointName": name,
        "EndpointArn": ARN + name,
        "EndpointConfigName": f"{name}-1",
        "EndpointStatus": "InService",
        "CreationTime": NOW - timedelta(days=2),
        "LastModifiedTime": NOW - timedelta(minutes=12),
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
                "DeployedImages": [{"SpecifiedImage": "runtime:1"}],
            }
        ],
        **members,
    }
    return Described(
        endpoint={key: value for key, value in endpoint.items() if value is not None},
        config={
            "EndpointConfigName": f"{name}-1",
            "CreationTime": NOW - timedelta(days=3),
            "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": f"{name}-model"}],
        },
    )


def make_measured(asked: Sequence[Metric], *, start: datetime) -> dict[Metric, list[Point]]:
    """An hour with a lull: traffic, a few errors, a cold start before it and one after."""
    return {metric: _series(metric, start) for metric in asked}


def _series(metric: Metric, start: datetime) -> list[Point]:
    drawn = random.Random(metric.name)  # noqa: S311 - the same figures at each run
    values = dict[int, float]()
    for minute in (*range(5, 29), *range(37, 60)):
        value = _value(metric, minute, drawn)
        if value is not None:
            values[minute] = value
    return [Point(time=start + timedelta(minutes=at), value=value) for at, value in values.items()]


def _value(metric: Metric, minute: int, drawn: random.Random) -> float | None:
    spread = drawn.uniform(0.8, 1.25) * (drawn.uniform(2, 4) if metric.statistic == "p99" else 1)
    match metric.name:
        case "Invocations":
            return round((15 + minute * 0.6) * spread)
        case "ModelLatency":
            return 11_000 * spread
        case "OverheadLatency":
            return 2_400 * spread
        case "ModelSetupTime" if minute in {5, 37}:
            return 1.0 if metric.statistic == "SampleCount" else 610_000.0 + 1_000 * minute
        case "Invocation4XXErrors" | "InvocationModelErrors":
            return 3.0 if minute in {16, 47, 48} else 0.0
        case "Invocation5XXErrors":
            return 2.0 if minute == 48 else 0.0
        case _:
            return None


@dataclass(kw_only=True)
class FakeAccount:
    """Holds what it is asked for; `refusals` are raised by the method of that name."""

    described: list[Described] = field(default_factory=lambda: [make_described()])
    lines: list[LogLine] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    answer: Answer | None = None
    refusals: dict[str, RemoteError] = field(default_factory=dict)
    has_metrics: bool = False
    asked: list[Any] = field(default_factory=list)

    def endpoints(self, *, contains: str, after: str) -> EndpointPage:
        self._refuse("endpoints")
        self.asked.append((contains, after))
        found = [one for one in self.described if contains in one.endpoint["EndpointName"]]
        return EndpointPage(endpoints=found, following=None if after else "next")

    def endpoint(self, name: str) -> Described | None:
        self._refuse("endpoint")
        named = {one.endpoint["EndpointName"]: one for one in self.described}
        return named.get(name)

    def log(self, endpoint: str, *, query: LogQuery) -> LogPart:
        self._refuse("log")
        self.asked.append((endpoint, query))
        return LogPart(streams=self.streams, lines=self.lines)

    def measured(
        self, asked: Sequence[Metric], *, start: datetime, end: datetime
    ) -> dict[Metric, list[Point]]:
        self._refuse("measured")
        self.asked.append((start, end))
        return make_measured(asked, start=start) if self.has_metrics else {}

    def ask(self, endpoint: str, trial: Trial) -> Answer:
        self._refuse("ask")
        self.asked.append((endpoint, trial))
        if self.answer is None:
            raise AssertionError("nobody was to be asked")
        return self.answer

    def _refuse(self, method: str) -> None:
        if method in self.refusals:
            raise self.refusals[method]


def make_example() -> FakeAccount:
    """An account with three endpoints, for pictures."""
    text = "Ada Lovelace met Charles Babbage in London."
    labels = ("GIVEN_NAME", "SURNAME", "", "GIVEN_NAME", "SURNAME", "", "CITY")
    entities = [
        {"entity_group": label, "word": word, "start": text.index(word)}
        | {"end": text.index(word) + len(word)}
        for word, label in zip(text.rstrip(".").split(), labels, strict=True)
        if label
    ]
    said = [
        {"level": "INFO", "message": "listening", "host": "127.0.0.1", "port": 8080},
        {"level": "INFO", "message": "ready", "model_dir": "/opt/ml/model", "seconds": 0.247},
        {"level": "INFO", "message": "request", "status": 200, "ms": 11.1, "tokens": 14},
        {"level": "INFO", "message": "request", "status": 400, "ms": 0.5, "error": "no `inputs`"},
        {"level": "WARNING", "message": "queue is full", "waiting": 64},
        {"level": "INFO", "message": "request", "status": 200, "ms": 12.9, "tokens": 31},
    ]
    reason = (
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    return FakeAccount(
        described=[
            make_described(),
            make_described("reviews", EndpointStatus="Updating"),
            make_described("summaries", EndpointStatus="Failed", FailureReason=reason),
        ],
        lines=[make_line(json.dumps(fields), second=second) for second, fields in enumerate(said)],
        streams=["AllTraffic/i-1"],
        has_metrics=True,
        answer=Answer(
            status=200,
            body=json.dumps([entities]).encode(),
            took_ms=14.2,
            content_type="application/json",
            variant="AllTraffic",
        ),
    )


def make_refusal(code: str = "AccessDeniedException", message: str = "no") -> RemoteError:
    return RemoteError(message, service="s", operation="o", code=code, hint="ask")


def make_line(message: str, *, second: int = 0, stream: str = "AllTraffic/i-1") -> LogLine:
    return LogLine(time=NOW + timedelta(seconds=second), stream=stream, message=message)
