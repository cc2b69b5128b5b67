"""Keeps what invocations were measured at, and hands it to CloudWatch.

    invocation ─▶ tally of this minute: metric, value ─▶ how often
        every few seconds, before CloudWatch is read, at the stop ─▶ CloudWatch

To record is a few dictionary entries, so that it costs an invocation next to nothing.
`kill -9` loses what was not handed over yet, a few seconds.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from portside.local.delegated.metric_store import Datum, Metric
from portside.local.metric.metric import NAMESPACE, samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portside.local.capacity.capacity import Occupancy
    from portside.local.clock import Clock
    from portside.local.metric.metric import Invocation
    from portside.local.protocol.message import Request, Response
    from portside.local.state.deployment import Variant

FLUSH_S: Final = 5.0
"""Ours. SageMaker's metrics reach CloudWatch once a minute; an alarm that is to roll an update
back here need not wait for that."""

_MINUTE_S: Final = 60

_Key: TypeAlias = tuple[int, str, str, str, str, float]
"""Time in seconds, endpoint, variant, metric, unit, value."""

_log = logging.getLogger(__name__)


class MetricSink(Protocol):
    """Who answers CloudWatch."""

    async def put_metrics(self, data: Sequence[Datum]) -> None:
        """Keep what was measured."""
        ...


class CloudWatch(Protocol):
    """Who answers requests for it, and for others."""

    async def answer(self, service: str, request: Request, body: bytes) -> Response:
        """Answer a request whose signature was checked; `service` is botocore's name."""
        ...


class MetricRecorder:
    """Hands over what it holds between `start` and `stop`, and whenever `flush` is called.

    `pace`: how many times shorter than a minute the periods are by which it counts.
    """

    def __init__(self, sink: MetricSink, *, clock: Clock, pace: float = 1.0) -> None:
        self._sink = sink
        self._clock = clock
        self._period_s = max(1, round(_MINUTE_S / pace))
        self._tally: dict[_Key, int] = {}  # how often
        self._handing_over = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Hand over every few seconds from now on."""
        self._flushing = asyncio.create_task(self._keep_flushing())

    async def stop(self) -> None:
        """Hand over the last."""
        if self._flushing is not None:
            async with self._handing_over:  # what is on its way must arrive
                self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self.flush()

    def record(self, seen: Invocation, variant: Variant, found: Occupancy) -> None:
        """Count an invocation that is over, with what it found of the variant when it came."""
        time_s = seen.time_ms // 1000 // self._period_s * self._period_s
        for name, unit, value in samples(seen, variant, found):
            key = (time_s, seen.endpoint, seen.variant, name, unit, value)
            self._tally[key] = self._tally.get(key, 0) + 1

    async def flush(self) -> None:
        """Hand over what was counted so far, of the minute that is not over too."""
        async with self._handing_over:
            tally, self._tally = self._tally, {}
            if not tally:
                return
            try:
                await self._sink.put_metrics([_datum(key, count) for key, count in tally.items()])
            except Exception:  # noqa: BLE001  whatever it is, invocations go on
                _log.exception("could not keep the metrics of %d samples", sum(tally.values()))

    async def _keep_flushing(self) -> None:
        while True:
            await self._clock.sleep(FLUSH_S)
            await self.flush()


def _datum(key: _Key, count: int) -> Datum:
    time_s, endpoint, variant, name, unit, value = key
    dimensions = {"EndpointName": endpoint, "VariantName": variant}
    metric = Metric(namespace=NAMESPACE, name=name, dimensions=dimensions)
    return Datum.of(metric, value, time_s=time_s, count=count, unit=unit)


class FreshCloudWatch:
    """CloudWatch that knows of every invocation up to the moment at which it is asked."""

    def __init__(self, answerer: CloudWatch, *, recorder: MetricRecorder) -> None:
        self._answerer = answerer
        self._recorder = recorder

    async def answer(self, service: str, request: Request, body: bytes) -> Response:
        """Answer a request whose signature was checked; those of other services pass."""
        if service == "cloudwatch":
            await self._recorder.flush()
        return await self._answerer.answer(service, request, body)
