"""Instances that come when they are needed and go when nobody has needed them for a while.

    take ─▶ the idle one that was used last
         ├▶ one whose caller hung up while it was starting
         └▶ a new one: a cold start
    give back ─▶ idle ─▶ taken again … or stopped when its time is over

There are never more of them than callers at one time: nobody starts one while another is
idle or starts for nobody. Callers who are impatient and try again do not pile them up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portside.local.capacity.capacity import NoInstanceError, PingFailedError
from portside.local.instance.instance import groups_of

if TYPE_CHECKING:
    from portside.local.capacity.starter import Starter
    from portside.local.clock import Clock
    from portside.local.instance.instance import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class _Idle:
    """An instance that nobody uses, and since when."""

    instance: Instance
    since: float


class OnDemand:
    """The instances of one variant that come and go, each lent to one caller at a time."""

    def __init__(self, starter: Starter, *, clock: Clock, idle_timeout_s: float) -> None:
        self._starter = starter
        self._clock = clock
        self._idle_timeout_s = idle_timeout_s
        self._startup_timeout_s = 0.0
        self._instances: set[Instance] = set()
        self._idle: list[_Idle] = []  # the one that was used last stands at the end
        self._starts: set[asyncio.Task[Instance]] = set()
        self._abandoned: list[asyncio.Task[Instance]] = []  # starts that nobody waits for
        self._endings: set[asyncio.Task[None]] = set()
        self._retiring: asyncio.Task[None] | None = None

    @property
    def warm(self) -> int:
        """How many can serve, idle or in use."""
        return sum(instance.can_serve for instance in self._instances)

    @property
    def starting(self) -> int:
        """How many are on their way."""
        return len(self._starts)

    @property
    def groups(self) -> tuple[int, ...]:
        """The process groups of those that are processes of this machine."""
        return groups_of(self._instances)

    def open(self, *, startup_timeout_s: float) -> None:
        """From now on instances may be taken; they have so long to become healthy."""
        self._startup_timeout_s = startup_timeout_s
        self._retiring = asyncio.create_task(self._retire_idle())

    async def warm_up(self, timeout_s: float) -> None:
        """Until one instance is healthy and idle; raises `PingFailedError`."""
        self.give_back(await self._bring_up(timeout_s))

    def take_idle(self) -> Instance | None:
        """The idle one that was used last; those that died meanwhile are forgotten."""
        while self._idle:
            instance = self._idle.pop().instance
            if instance.can_serve:
                return instance
            self._end(instance)
        return None

    async def take_new(self) -> Instance:
        """One that was not there yet; raises `NoInstanceError` where none comes up.

        A caller who hangs up leaves the start to the next one, or the instance idle.
        """
        start = self._abandoned.pop() if self._abandoned else self._start()
        try:
            await asyncio.wait({start})
        except asyncio.CancelledError:
            self._abandoned.append(start)
            start.add_done_callback(self._keep)
            raise
        if start.cancelled():  # stopped meanwhile
            raise NoInstanceError
        try:
            return start.result()
        except PingFailedError as error:
            raise NoInstanceError from error

    def give_back(self, instance: Instance, *, is_preferred: bool = True) -> None:
        """It is idle from now on; `is_preferred` where it is the first to be taken again."""
        if not instance.can_serve:
            self._end(instance)
            return
        place = len(self._idle) if is_preferred else 0
        self._idle.insert(place, _Idle(instance=instance, since=self._clock.monotonic()))

    async def stop(self) -> None:
        """End all of them, and those that are starting."""
        tasks = [*self._starts, *([self._retiring] if self._retiring else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        instances, self._instances = self._instances, set()
        self._idle.clear()
        await asyncio.gather(*self._endings, *(instance.stop() for instance in instances))

    def _start(self) -> asyncio.Task[Instance]:
        start = asyncio.create_task(self._bring_up(self._startup_timeout_s))
        self._starts.add(start)
        start.add_done_callback(self._starts.discard)
        return start

    async def _bring_up(self, timeout_s: float) -> Instance:
        instance = await self._starter.bring_up(timeout_s)
        self._instances.add(instance)
        return instance

    def _keep(self, start: asyncio.Task[Instance]) -> None:
        """What becomes of a start whose caller hung up, unless another waits for it now."""
        if start not in self._abandoned:
            return
        self._abandoned.remove(start)
        if not start.cancelled() and start.exception() is None:
            self.give_back(start.result())

    def _end(self, instance: Instance) -> None:
        """Stop one that is not needed, or has ended by itself; nobody waits for it."""
        self._instances.discard(instance)
        ending = asyncio.create_task(instance.stop())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _retire_idle(self) -> None:
        """Stop those that have been idle for too long, for ever."""
        while True:
            now = self._clock.monotonic()
            # Nothing that is idle later than this can be due before this sleep is over.
            oldest = min((each.since for each in self._idle), default=now)
            await self._clock.sleep(oldest + self._idle_timeout_s - now)
            due = self._clock.monotonic() - self._idle_timeout_s
            for each in [each for each in self._idle if each.since <= due]:
                self._idle.remove(each)
                self._end(each.instance)
