"""Application Auto Scaling that acts: capacities follow what is measured, within their bounds.

    scalable targets, policies ─▶ metric, the last minutes ─▶ decide ─▶ UpdateEndpointWeights…

What a policy asks for is decided in `target_tracking`. Step scaling is not built, and said so
in the log.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside.local.protocol.fault import Fault
from portside.local.scaling.target_tracking import PERIODS_IN, decide, names_of, tracking_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from portside.local.clock import Clock
    from portside.local.delegated.metric_store import Metric, Period
    from portside.local.delegated.scaling import ScalableTarget, ScalingPolicy
    from portside.local.scaling.target_tracking import Tracking

INSTANCE_COUNT: Final = "sagemaker:variant:DesiredInstanceCount"
PROVISIONED_CONCURRENCY: Final = "sagemaker:variant:DesiredProvisionedConcurrency"

_DIMENSIONS: Final = (INSTANCE_COUNT, PROVISIONED_CONCURRENCY)

_TARGET_TRACKING: Final = "TargetTrackingScaling"
_PERIOD_S: Final = 60
_LOOK_EVERY_S: Final = 10.0

_log = logging.getLogger(__name__)


class Delegated(Protocol):
    """Who knows the targets, the policies and what was measured."""

    async def scalable_targets(self) -> list[ScalableTarget]:
        """SageMaker's scalable targets."""
        ...

    async def scaling_policies(self) -> list[ScalingPolicy]:
        """SageMaker's scaling policies."""
        ...

    async def metric_periods(
        self, metric: Metric, *, start_s: int, end_s: int, period_s: int
    ) -> list[Period]:
        """What was measured of a metric in `start_s ≤ time < end_s`, by periods, in order."""
        ...


class Capacities(Protocol):
    """Who can tell and change how much of a variant there is."""

    def current(self, endpoint: str, variant: str, dimension: str) -> int | None:
        """The capacity of a variant at rest; None where there is none, or it is being changed."""
        ...

    async def change(self, endpoint: str, variant: str, dimension: str, *, to: int) -> None:
        """Ask for another capacity; raises SageMaker's faults."""
        ...


class Autoscaler:
    """Looks every few seconds, between `start` and `stop`.

    `pace`: how many times faster than on AWS minutes and cooldowns go by. Rates are
    still told per minute, so that a target means the same. `flush` has all that was
    measured stored.
    """

    def __init__(
        self,
        delegated: Delegated,
        *,
        capacities: Capacities,
        flush: Callable[[], Awaitable[None]],
        clock: Clock,
        pace: float = 1.0,
    ) -> None:
        self._delegated = delegated
        self._capacities = capacities
        self._flush = flush
        self._clock = clock
        self._period_s = max(1, round(_PERIOD_S / pace))
        self._pace = _PERIOD_S / self._period_s
        self._changed_at: dict[tuple[str, str], float] = {}
        self._told: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more; a capacity that was asked for is still reached."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Look once at every target, and ask for what its policies come to."""
        targets = await self._delegated.scalable_targets()
        if not targets:
            return
        await self._flush()
        policies = await self._delegated.scaling_policies()
        for target in targets:
            if target.dimension not in _DIMENSIONS:  # of inference components, which are not built
                continue
            try:
                await self._adjust(target, [each for each in policies if _belongs(each, target)])
            except Exception:  # noqa: BLE001  what is wrong with one must not stop the others
                _log.exception("could not look after %s", target.resource_id)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(max(1.0, _LOOK_EVERY_S / self._pace))
            try:
                await self.look()
            except Exception:  # noqa: BLE001  the next look may be a better one
                _log.exception("could not look after the scalable targets")

    async def _adjust(self, target: ScalableTarget, policies: Sequence[ScalingPolicy]) -> None:
        endpoint, variant = names_of(target.resource_id)
        current = self._capacities.current(endpoint, variant, target.dimension)
        if current is None:
            return
        wishes = [current]
        for policy in policies:
            tracking = tracking_of(policy) if policy.kind == _TARGET_TRACKING else None
            if tracking is None:
                if policy.name not in self._told:
                    _log.warning("policy %s is not one of those that are played", policy.name)
                self._told.add(policy.name)
                continue
            wishes.append(await self._wish(target, tracking, current=current))
        # With several policies the largest capacity wins, and all must agree to go in. The guide.
        tracked = wishes[1:]
        wanted = max(tracked) if tracked else current
        wanted = min(max(wanted, target.min_capacity), target.max_capacity)
        await self._change(target, current=current, to=wanted)

    async def _wish(self, target: ScalableTarget, tracking: Tracking, *, current: int) -> int:
        wanted = decide(current, await self._values(tracking), tracking)
        key = (target.resource_id, target.dimension)
        rested_s = (self._clock.monotonic() - self._changed_at.get(key, -math.inf)) * self._pace
        if wanted > current and (target.scale_out_suspended or rested_s < tracking.out_cooldown_s):
            return current
        if wanted < current and (target.scale_in_suspended or rested_s < tracking.in_cooldown_s):
            return current
        return wanted

    async def _values(self, tracking: Tracking) -> list[float | None]:
        """One for each of the last whole minutes, at this pace."""
        end_s = self._clock.now_ms() // 1000 // self._period_s * self._period_s
        start_s = end_s - PERIODS_IN * self._period_s
        periods = await self._delegated.metric_periods(
            tracking.metric, start_s=start_s, end_s=end_s, period_s=self._period_s
        )
        by_time = {period.time_s: period for period in periods}
        times = range(start_s, end_s, self._period_s)
        return [self._value(by_time.get(time_s), tracking.statistic) for time_s in times]

    def _value(self, period: Period | None, statistic: str) -> float | None:
        value = None if period is None else period.statistic(statistic)
        is_rate = statistic in {"Sum", "SampleCount"}
        return value * self._pace if is_rate and value is not None else value

    async def _change(self, target: ScalableTarget, *, current: int, to: int) -> None:
        if to == current:
            return
        endpoint, variant = names_of(target.resource_id)
        _log.info("%s of %s: %d -> %d", target.dimension, target.resource_id, current, to)
        try:
            await self._capacities.change(endpoint, variant, target.dimension, to=to)
        except Fault as fault:
            _log.warning("could not change %s: %s", target.resource_id, fault)
            return
        self._changed_at[target.resource_id, target.dimension] = self._clock.monotonic()


def _belongs(policy: ScalingPolicy, target: ScalableTarget) -> bool:
    mine: tuple[Any, Any] = (target.resource_id, target.dimension)
    return (policy.resource_id, policy.dimension) == mine
