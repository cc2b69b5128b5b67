"""How busy instances are: processor, memory and disk, on their way to CloudWatch.

    every minute ─▶ every instance that is a process ─▶ used since the last look ─▶ CloudWatch

Namespace, names and meanings: DG monitoring-cloudwatch, "Endpoint metrics". Of containers, which
their engine keeps apart, nothing is told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from typing import TYPE_CHECKING, Final, Protocol

from portside.local.delegated.metric_store import Datum, Metric
from portside.local.instance.usage import Usage, measure
from portside.local.state.resource import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from portside.local.capacity.capacity import Capacity
    from portside.local.capacity.traffic import Switch
    from portside.local.clock import Clock
    from portside.local.state.resource import Resource

NAMESPACE: Final = "/aws/sagemaker/Endpoints"

_MINUTE_S: Final = 60
_MIB: Final = 1024 * 1024

_log = logging.getLogger(__name__)


class Resources(Protocol):
    """Who knows what there is."""

    def all_of(self, kind: Kind) -> Iterable[Resource]:
        """All resources of a kind."""
        ...


class MetricSink(Protocol):
    """Who answers CloudWatch."""

    async def put_metrics(self, data: Sequence[Datum]) -> None:
        """Keep what was measured."""
        ...


class UtilizationMeter:
    """Looks once a period, between `start` and `stop`; `disk` is where the endpoints' data lie.

    `pace`: how many times shorter than a minute the periods are.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        switch: Switch,
        sink: MetricSink,
        disk: Path,
        clock: Clock,
        pace: float = 1.0,
        measure: Callable[[Collection[int]], Mapping[int, Usage]] = measure,
    ) -> None:
        self._resources = resources
        self._switch = switch
        self._sink = sink
        self._disk = disk
        self._clock = clock
        self._period_s = max(1, round(_MINUTE_S / pace))
        self._measure = measure
        self._cpu_s: dict[int, float] = {}
        self._looked_at = clock.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Measure every instance once, and tell it."""
        capacities = dict(self._capacities())
        groups = {group for groups in capacities.values() for group in groups}
        if not groups:
            return
        used = await asyncio.to_thread(self._measure, groups)
        now = self._clock.monotonic()
        passed_s, self._looked_at = now - self._looked_at, now
        data = [
            datum
            for (endpoint, variant, limit_bytes), members in capacities.items()
            for group in members
            if group in used
            for datum in self._data(
                endpoint, variant, used[group], group=group, limit=limit_bytes, passed_s=passed_s
            )
        ]
        self._cpu_s = {group: usage.cpu_s for group, usage in used.items()}
        await self._sink.put_metrics(data)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._period_s)
            try:
                await self.look()
            except Exception:  # noqa: BLE001  the next look may be a better one
                _log.exception("could not measure the instances")

    def _capacities(self) -> Iterator[tuple[tuple[str, str, int], tuple[int, ...]]]:
        """Endpoint, variant and memory limit of what runs, with its process groups."""
        for resource in self._resources.all_of(Kind.ENDPOINT):
            traffic = self._switch.traffic(resource.arn)
            if traffic is not None:
                for capacity in traffic.blue.capacities.values():
                    variant = capacity.variant
                    key = (resource.name, variant.name, _limit_bytes(capacity))
                    yield key, capacity.groups

    def _data(
        self,
        endpoint: str,
        variant: str,
        usage: Usage,
        *,
        group: int,
        limit: int,
        passed_s: float,
    ) -> Iterator[Datum]:
        spent_s = usage.cpu_s - self._cpu_s.get(group, usage.cpu_s)
        disk = shutil.disk_usage(self._disk)
        time_s = self._clock.now_ms() // 1000 // self._period_s * self._period_s
        for name, percent in (
            # 100 for each core that is busy all the time.
            ("CPUUtilization", 100 * max(spent_s, 0.0) / passed_s if passed_s else 0.0),
            ("MemoryUtilization", 100 * usage.memory_bytes / limit),
            ("DiskUtilization", 100 * disk.used / disk.total),
        ):
            dimensions = {"EndpointName": endpoint, "VariantName": variant}
            metric = Metric(namespace=NAMESPACE, name=name, dimensions=dimensions)
            yield Datum.of(metric, round(percent, 2), time_s=time_s, unit="Percent")


def _limit_bytes(capacity: Capacity) -> int:
    """The memory that each of its instances may have: the memory size, else the machine's."""
    serverless = capacity.variant.serverless
    if serverless is not None:
        return serverless["MemorySizeInMB"] * _MIB
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
