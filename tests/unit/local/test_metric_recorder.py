from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from portside.local.metric.metric_recorder import FreshCloudWatch, MetricRecorder
from portside.local.protocol.message import Request, Response
from tests.unit.local.state_fakes import FakeClock, eventually
from tests.unit.local.test_metric import GOOD, OCCUPANCY, VARIANT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portside.local.delegated.metric_store import Datum
    from portside.local.metric.metric import Invocation

MINUTE_S = 1_700_000_040


@dataclass
class Sink:
    """CloudWatch, as far as it is told."""

    data: list[Datum] = field(default_factory=list)
    failure: Exception | None = None

    async def put_metrics(self, data: Sequence[Datum]) -> None:
        if self.failure is not None:
            raise self.failure
        self.data += data

    async def answer(self, service: str, request: Request, body: bytes) -> Response:
        return Response(status=200, body=str(len(self.data)).encode())

    def named(self, name: str) -> list[Datum]:
        return [datum for datum in self.data if datum.metric.name == name]


def at(second: int, **changes: object) -> Invocation:
    return replace(GOOD, time_ms=1000 * (MINUTE_S + second), **changes)  # type: ignore[arg-type]  # its fields


async def test_equal_values_of_a_minute_are_one_datum() -> None:
    sink = Sink()
    recorder = MetricRecorder(sink, clock=FakeClock())
    for second in (1, 59, 60):
        recorder.record(at(second), VARIANT, OCCUPANCY)

    await recorder.flush()

    assert [(datum.time_s, datum.count, datum.sum) for datum in sink.named("Invocations")] == [
        (MINUTE_S, 2, 2),
        (MINUTE_S + 60, 1, 1),
    ]
    [latency, _] = sink.named("ModelLatency")
    assert (latency.metric.namespace, latency.unit) == ("AWS/SageMaker", "Microseconds")
    assert latency.metric.dimensions == {"EndpointName": "ner", "VariantName": "AllTraffic"}


async def test_nothing_is_handed_over_twice() -> None:
    sink = Sink()
    recorder = MetricRecorder(sink, clock=FakeClock())
    recorder.record(at(1), VARIANT, OCCUPANCY)

    await recorder.flush()
    await recorder.flush()

    assert len(sink.named("Invocations")) == 1


async def test_it_hands_over_by_itself_and_at_the_stop() -> None:
    sink = Sink()
    recorder = MetricRecorder(sink, clock=FakeClock())
    recorder.start()
    recorder.record(at(1), VARIANT, OCCUPANCY)
    await eventually(lambda: len(sink.named("Invocations")) == 1)

    recorder.record(at(2), VARIANT, OCCUPANCY)
    await recorder.stop()

    assert len(sink.named("Invocations")) == 2


async def test_a_sink_that_fails_ends_nothing() -> None:
    sink = Sink(failure=OSError("disk full"))
    recorder = MetricRecorder(sink, clock=FakeClock())
    recorder.record(at(1), VARIANT, OCCUPANCY)
    await recorder.flush()

    sink.failure = None
    recorder.record(at(2), VARIANT, OCCUPANCY)
    await recorder.flush()

    assert len(sink.named("Invocations")) == 1


async def test_who_asks_cloudwatch_gets_all_that_was_measured() -> None:
    sink = Sink()
    recorder = MetricRecorder(sink, clock=FakeClock())
    fresh = FreshCloudWatch(sink, recorder=recorder)
    request = Request(method="POST", path="/", query="", headers=())
    recorder.record(at(1), VARIANT, OCCUPANCY)

    assert (await fresh.answer("iam", request, b"")).body == b"0"
    assert (await fresh.answer("cloudwatch", request, b"")).body == b"8"
