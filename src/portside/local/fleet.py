"""The instances of one deployment: brought up together, watched, replaced, shared out.

    start ─▶ per instance: launch ─▶ /ping … 200 ─▶ healthy ─▶ ends, or hangs ─▶ launch …
    lease ─▶ the healthy instance with the fewest invocations in hand
    drain ─▶ no more leases, those given out come back ─▶ stop

While a fleet starts, an instance that ends is tried again and then given up;
once it has been healthy it is replaced as often as it takes. One that runs but does
not answer `/ping` any more is killed and replaced too.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.contract import INVOCATION_TIMEOUT_S, LOG_GROUP_PREFIX
from portside.local.instance import HealthCheck, Instance, InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from portside.local.clock import Clock
    from portside.local.deployment import Variant
    from portside.local.instance import Launcher, Pinger

MAX_TRIES: Final = 3
"""How often an instance that ends while it starts is launched, before it is given up."""

_FIRST_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 30.0
_STEADY_S: Final = 60.0
"""An instance that lived this long is replaced at once; one that did not, after the backoff."""
_DRAIN_INTERVAL_S: Final = 0.05

DEFAULT_HEALTH_CHECK: Final = HealthCheck()

_log = logging.getLogger(__name__)


class PingFailedError(Exception):
    """An instance did not become healthy in its time and tries."""


class NoInstanceError(Exception):
    """No instance of the fleet is healthy now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """What a fleet's instances have in common."""

    endpoint_name: str
    region: str
    variant: Variant
    model_dir: Path

    def instance(self, instance_id: str) -> InstanceSpec:
        """What one of them is launched from."""
        return InstanceSpec(
            instance_id=instance_id,
            image=self.variant.image,
            environment=self.variant.environment,
            model_dir=self.model_dir,
            region=self.region,
            log_group=f"{LOG_GROUP_PREFIX}{self.endpoint_name}",
            log_stream=f"{self.variant.name}/{instance_id}",
        )


def new_instance_id() -> str:
    """`i-` and 17 hex digits, as EC2's: the log streams of an endpoint are named with it."""
    return f"i-{secrets.token_hex(9)[:17]}"


class Fleet:
    """As many instances of one variant as it asks for."""

    def __init__(
        self,
        spec: FleetSpec,
        *,
        launcher: Launcher,
        pinger: Pinger,
        clock: Clock,
        new_id: Callable[[], str] = new_instance_id,
        health_check: HealthCheck = DEFAULT_HEALTH_CHECK,
    ) -> None:
        self._spec = spec
        self._launcher = launcher
        self._pinger = pinger
        self._clock = clock
        self._new_id = new_id
        self._health_check = health_check
        self._instances: list[Instance] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._is_draining = False

    async def start(self, *, startup_timeout_s: float, spent_s: float = 0.0) -> None:
        """Until every instance is healthy; `PingFailedError` and none is left when one is not.

        `spent_s` of the time are gone already; those that replace an instance later have all of it.
        """
        starts = [
            asyncio.create_task(self._bring_up(startup_timeout_s - spent_s))
            for _ in range(self._spec.variant.instance_count)
        ]
        try:
            started = await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await self.stop()
            raise
        self._keepers = [
            asyncio.create_task(self._keep(instance, startup_timeout_s)) for instance in started
        ]

    @contextmanager
    def lease(self) -> Iterator[Instance]:
        """The healthy instance that has least to do, for one invocation."""
        able = [each for each in self._instances if each.can_serve]
        if not able or self._is_draining:
            raise NoInstanceError
        instance = min(able, key=lambda each: (each.outstanding, each.served))
        instance.outstanding += 1
        instance.served += 1
        try:
            yield instance
        finally:
            instance.outstanding -= 1

    async def drain(self) -> None:
        """Until the last invocation is answered, at most as long as one may take."""
        self._is_draining = True
        deadline = self._clock.monotonic() + INVOCATION_TIMEOUT_S
        while (
            any(instance.outstanding for instance in self._instances)
            and self._clock.monotonic() < deadline
        ):
            await self._clock.sleep(_DRAIN_INTERVAL_S)

    async def stop(self) -> None:
        """End every instance: SIGTERM, 30 s, SIGKILL."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(instance.stop() for instance in self._instances))

    async def _bring_up(self, startup_timeout_s: float) -> Instance:
        """Launch until one is healthy. The tries share an id, so that they share a log stream."""
        deadline = self._clock.monotonic() + startup_timeout_s
        instance_id = self._new_id()
        for attempt in range(MAX_TRIES):
            if attempt:
                await self._clock.sleep(_backoff_s(attempt))
            instance = await self._launch(instance_id)
            if instance is None:
                continue
            if await instance.become_healthy(deadline=deadline):
                return instance
            await instance.stop()
            self._instances.remove(instance)
            if self._clock.monotonic() >= deadline:
                break
        raise PingFailedError

    async def _launch(self, instance_id: str) -> Instance | None:
        try:
            process = await self._launcher.launch(self._spec.instance(instance_id))
        except OSError:
            _log.exception("could not launch instance %s", instance_id)
            return None
        instance = Instance(
            process, instance_id=instance_id, pinger=self._pinger, clock=self._clock
        )
        self._instances.append(instance)
        return instance

    async def _keep(self, instance: Instance, startup_timeout_s: float) -> None:
        """Replace an instance whenever it is lost, for as long as the fleet lives."""
        failures = 0
        while True:
            healthy_since = self._clock.monotonic()
            cause = await self._until_lost(instance)
            self._instances.remove(instance)
            _log.warning(
                "instance %s of endpoint %s %s",
                instance.instance_id,
                self._spec.endpoint_name,
                cause,
            )
            lived_s = self._clock.monotonic() - healthy_since
            failures = 0 if lived_s >= _STEADY_S else failures + 1
            instance, tries = await self._replace(startup_timeout_s, failures=failures)
            failures += tries

    async def _until_lost(self, instance: Instance) -> str:
        """Until it has ended by itself, or was killed because it hung; what happened."""
        exited = asyncio.create_task(instance.exited())
        hung = asyncio.create_task(instance.unanswering(self._health_check))
        try:
            await asyncio.wait({exited, hung}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watches = (exited, hung)
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
        if not exited.cancelled():
            return f"ended with exit code {exited.result()}"
        await instance.kill()
        return "did not answer /ping any more and was killed"

    async def _replace(self, startup_timeout_s: float, *, failures: int) -> tuple[Instance, int]:
        """A healthy instance, and how many fruitless rounds it took."""
        rounds = 0
        while True:
            if failures + rounds > 1:  # the first death is nothing to wait for
                await self._clock.sleep(_backoff_s(failures + rounds))
            try:
                return await self._bring_up(startup_timeout_s), rounds
            except PingFailedError:
                rounds += 1


def _backoff_s(failures: int) -> float:
    return min(_FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10), _LONGEST_BACKOFF_S)
