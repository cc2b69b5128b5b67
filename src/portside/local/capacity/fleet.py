"""The instances of one variant that are always there: brought up together, shared out.

    start  ─▶ every post filled and kept filled
    lease  ─▶ the healthy instance with the fewest invocations in hand, or any of them
    resize ─▶ more posts, or the least busy emptied and given up
    drain  ─▶ no more leases, those given out come back ─▶ stop

As many as the variant asks for, all the time.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portside.contract import INVOCATION_TIMEOUT_S
from portside.local.capacity.capacity import InvocationCount, Lease, NoInstanceError, Occupancy
from portside.local.capacity.post import Post
from portside.local.instance.instance import HealthCheck, groups_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from portside.local.capacity.starter import Starter
    from portside.local.clock import Clock
    from portside.local.state.deployment import Variant

_DRAIN_INTERVAL_S: Final = 0.05
_RANDOM: Final = "RANDOM"
"""BC RoutingConfig.RoutingStrategy. Where none is chosen we take the least busy: which one AWS
takes then is not documented."""

DEFAULT_HEALTH_CHECK: Final = HealthCheck()


class Fleet:
    """As many instances of one variant as it asks for."""

    def __init__(
        self,
        starter: Starter,
        *,
        clock: Clock,
        health_check: HealthCheck = DEFAULT_HEALTH_CHECK,
    ) -> None:
        self._starter = starter
        self._clock = clock
        self._health_check = health_check
        self._posts: list[Post] = []
        self._startup_timeout_s = 0.0
        self._leased = 0
        self._is_draining = False

    @property
    def variant(self) -> Variant:
        """What they run, with the weight and capacity that hold now."""
        return self._starter.spec.variant

    @property
    def occupancy(self) -> Occupancy:
        """What is there now."""
        warm = sum(post.can_serve for post in self._posts)
        return Occupancy(
            warm=warm,
            starting=len(self._posts) - warm,
            outstanding=sum(post.outstanding for post in self._posts),
        )

    @property
    def invocations(self) -> InvocationCount:
        """How many it was given so far: all of them to instances that were there."""
        return InvocationCount(warm=self._leased)

    @property
    def groups(self) -> tuple[int, ...]:
        """The process groups of its instances, of those that are processes of this machine."""
        return groups_of(post.instance for post in self._posts if post.instance)

    async def start(self, *, startup_timeout_s: float, spent_s: float = 0.0) -> None:
        """Until every instance is healthy; `PingFailedError` and none is left when one is not.

        `spent_s` of the time are gone already; those that replace an instance later have all of it.
        """
        self._startup_timeout_s = startup_timeout_s
        await self._grow(self.variant.instance_count, timeout_s=startup_timeout_s - spent_s)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """A healthy instance for one invocation, as the variant's routing strategy chooses."""
        able = [post.instance for post in self._posts if post.can_serve and post.instance]
        if not able or self._is_draining:
            raise NoInstanceError
        if self.variant.routing == _RANDOM:
            instance = random.choice(able)  # noqa: S311  no secret depends on it
        else:
            instance = min(able, key=lambda each: (each.outstanding, each.served))
        instance.outstanding += 1
        instance.served += 1
        self._leased += 1
        try:
            yield Lease(instance=instance)
        finally:
            instance.outstanding -= 1

    async def resize(self, variant: Variant) -> None:
        """Until there are as many instances as this variant wants.

        `PingFailedError` when one does not come up; then there are as many as before.
        """
        more = variant.instance_count - len(self._posts)
        if more > 0:
            await self._grow(more, timeout_s=self._startup_timeout_s)
        self._starter.spec = replace(self._starter.spec, variant=variant)
        if more < 0:
            await self._shrink(-more)

    async def drain(self) -> None:
        """Until the last invocation is answered, at most as long as one may take."""
        self._is_draining = True
        await self._until_idle(self._posts)

    async def stop(self) -> None:
        """End every instance: SIGTERM, 30 s, SIGKILL."""
        posts, self._posts = self._posts, []
        await asyncio.gather(*(post.stop() for post in posts))

    async def _grow(self, count: int, *, timeout_s: float) -> None:
        """So many more, all healthy; where one is not, none of them stays."""
        posts = [
            Post(self._starter, clock=self._clock, health_check=self._health_check)
            for _ in range(count)
        ]
        fillings = [asyncio.create_task(post.fill(timeout_s)) for post in posts]
        try:
            await asyncio.gather(*fillings)
        except BaseException:
            for filling in fillings:
                filling.cancel()
            await asyncio.gather(*fillings, return_exceptions=True)
            await asyncio.gather(*(post.stop() for post in posts))
            raise
        for post in posts:
            post.keep_filled(startup_timeout_s=self._startup_timeout_s)
        self._posts += posts

    async def _shrink(self, count: int) -> None:
        idle_first = sorted(self._posts, key=lambda post: (post.can_serve, post.outstanding))
        leaving = idle_first[:count]
        self._posts = [post for post in self._posts if post not in leaving]
        try:
            await self._until_idle(leaving)
        finally:
            await asyncio.gather(*(post.stop() for post in leaving))

    async def _until_idle(self, posts: Iterable[Post]) -> None:
        deadline = self._clock.monotonic() + INVOCATION_TIMEOUT_S
        while any(post.outstanding for post in posts) and self._clock.monotonic() < deadline:
            await self._clock.sleep(_DRAIN_INTERVAL_S)
