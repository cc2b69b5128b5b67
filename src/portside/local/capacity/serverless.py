"""What serves a serverless variant: provisioned instances, and such as come when they are needed.

    lease ─▶ fewer outstanding than the max concurrency?  no ─▶ ThrottledError, at once
          ─▶ a provisioned instance that is free
          ─▶ an instance that is warm                     else ─▶ a cold start

Each instance answers one invocation at a time. A cold start is a real one: the caller waits
until the new instance answers `/ping`. An endpoint's creation starts one instance, to see that
it comes up; it stays warm until it has been idle for its time.

DG serverless-endpoints tells of cold starts, max and provisioned concurrency. How long AWS
keeps an idle instance it does not tell.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portside.contract import INVOCATION_TIMEOUT_S
from portside.local.capacity.capacity import (
    InvocationCount,
    Lease,
    NoInstanceError,
    Occupancy,
    ThrottledError,
)
from portside.local.capacity.fleet import Fleet
from portside.local.capacity.on_demand import OnDemand
from portside.local.instance.instance_client import InvocationTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from portside.local.capacity.starter import FleetSpec, Starter
    from portside.local.clock import Clock
    from portside.local.state.deployment import Variant

_DRAIN_INTERVAL_S: Final = 0.05


class ServerlessCapacity:
    """The instances of one serverless variant; `new_starter` makes who starts them."""

    def __init__(
        self,
        spec: FleetSpec,
        *,
        new_starter: Callable[[FleetSpec], Starter],
        clock: Clock,
        idle_timeout_s: float,
    ) -> None:
        self._clock = clock
        self._starter = new_starter(spec)
        self._on_demand = OnDemand(self._starter, clock=clock, idle_timeout_s=idle_timeout_s)
        provisioned = replace(spec, variant=_as_provisioned(spec.variant))
        self._provisioned = Fleet(new_starter(provisioned), clock=clock)
        self._startup_timeout_s = 0.0
        self._invocations = InvocationCount()
        self._outstanding = 0
        self._is_draining = False

    @property
    def variant(self) -> Variant:
        """What they run, with the weight and concurrencies that hold now."""
        return self._starter.spec.variant

    @property
    def occupancy(self) -> Occupancy:
        """What is there now; `outstanding` are also those who wait for a cold start."""
        provisioned = self._provisioned.occupancy
        return Occupancy(
            warm=provisioned.warm + self._on_demand.warm,
            starting=provisioned.starting + self._on_demand.starting,
            outstanding=self._outstanding,
        )

    @property
    def invocations(self) -> InvocationCount:
        """How many it was given so far, and how they came to their instances."""
        return self._invocations

    @property
    def groups(self) -> tuple[int, ...]:
        """The process groups of its instances, of those that are processes of this machine."""
        return (*self._provisioned.groups, *self._on_demand.groups)

    async def start(self, *, startup_timeout_s: float, spent_s: float = 0.0) -> None:
        """Until the provisioned instances are healthy, or one where there are none of these.

        Raises `PingFailedError`, and nothing is left running then. `spent_s` of the time are
        gone already; instances that start later have all of it.
        """
        self._startup_timeout_s = startup_timeout_s
        await self._provisioned.start(startup_timeout_s=startup_timeout_s, spent_s=spent_s)
        if not self._provisioned.variant.instance_count:
            await self._on_demand.warm_up(startup_timeout_s - spent_s)
        self._on_demand.open(startup_timeout_s=startup_timeout_s)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """An instance for one invocation; raises `ThrottledError` and `NoInstanceError`.

        Who waits for a cold start counts as outstanding, as the one whose answer is under way.
        """
        if self._is_draining:
            raise NoInstanceError
        if self._outstanding >= _max_concurrency(self.variant):
            raise ThrottledError
        self._outstanding += 1
        try:
            free = self._provisioned.occupancy
            leased = (
                self._lease_provisioned()
                if free.outstanding < free.warm
                else self._lease_on_demand()
            )
            async with leased as lease:
                try:
                    yield lease
                except InvocationTimeoutError:
                    # It would be busy with what nobody waits for any more: AWS Lambda ends it too.
                    if lease.instance.can_serve:
                        await lease.instance.kill()
                    raise
        finally:
            self._outstanding -= 1

    async def resize(self, variant: Variant) -> None:
        """Until there are as many provisioned instances as this variant wants.

        Raises `PingFailedError`, and all is as before then. Where the max concurrency is less
        than what runs now, nobody is cut off; those who come are throttled.
        """
        await self._provisioned.resize(_as_provisioned(variant))
        self._starter.spec = replace(self._starter.spec, variant=variant)

    async def drain(self) -> None:
        """Until the last invocation is answered, at most as long as one may take.

        Those who wait for a cold start are answered too; who comes now is refused.
        """
        self._is_draining = True
        cold_start_s = self._startup_timeout_s if self._on_demand.starting else 0.0
        deadline = self._clock.monotonic() + cold_start_s + INVOCATION_TIMEOUT_S
        while self._outstanding and self._clock.monotonic() < deadline:
            await self._clock.sleep(_DRAIN_INTERVAL_S)

    async def stop(self) -> None:
        """End every instance: SIGTERM, 30 s, SIGKILL."""
        self._is_draining = True
        await asyncio.gather(self._on_demand.stop(), self._provisioned.stop())

    @asynccontextmanager
    async def _lease_provisioned(self) -> AsyncIterator[Lease]:
        async with self._provisioned.lease() as lease:
            self._count(provisioned=1, warm=1)
            yield replace(lease, is_provisioned=True)

    @asynccontextmanager
    async def _lease_on_demand(self) -> AsyncIterator[Lease]:
        spilled_over = int(self._provisioned.variant.instance_count > 0)
        arrived = self._clock.monotonic()
        instance, setup_s = self._on_demand.take_idle(), 0.0
        if instance is None:
            instance = await self._on_demand.take_new()
            setup_s = self._clock.monotonic() - arrived
            self._count(cold=1, spilled_over=spilled_over)
        else:
            self._count(warm=1, spilled_over=spilled_over)
        is_answered = False
        instance.outstanding += 1
        instance.served += 1
        try:
            yield Lease(instance=instance, setup_s=setup_s)
            is_answered = True
        finally:
            instance.outstanding -= 1
            # Where the caller hung up, the instance may still be at work: others come first.
            self._on_demand.give_back(instance, is_preferred=is_answered)

    def _count(
        self, *, cold: int = 0, warm: int = 0, provisioned: int = 0, spilled_over: int = 0
    ) -> None:
        so_far = self._invocations
        self._invocations = InvocationCount(
            cold=so_far.cold + cold,
            warm=so_far.warm + warm,
            provisioned=so_far.provisioned + provisioned,
            spilled_over=so_far.spilled_over + spilled_over,
        )


def _as_provisioned(variant: Variant) -> Variant:
    """The variant as a fleet takes it: with as many instances as are provisioned.

    A fleet of which an instance is free lends that, because it takes the least busy.
    """
    provisioned = (variant.serverless or {}).get("ProvisionedConcurrency", 0)
    return replace(variant, instance_count=provisioned, routing=None)


def _max_concurrency(variant: Variant) -> int:
    return 0 if variant.serverless is None else variant.serverless["MaxConcurrency"]
