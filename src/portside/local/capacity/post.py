"""One place in a fleet, held by one instance after another.

    fill ─▶ healthy ─▶ ends, or hangs ─▶ another in its place …
    stop ─▶ nobody

While it is filled, an instance that ends is tried again and then given up; once
one has been healthy it is replaced as often as it takes. One that runs but does
not answer `/ping` any more is killed and replaced too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from portside.local.capacity.capacity import PingFailedError
from portside.local.capacity.starter import backoff_s

if TYPE_CHECKING:
    from portside.local.capacity.starter import Starter
    from portside.local.clock import Clock
    from portside.local.instance.instance import HealthCheck, Instance

_STEADY_S: Final = 60.0
"""An instance that lived this long is replaced at once; one that did not, after the backoff."""

_log = logging.getLogger(__name__)


class Post:
    """A place for an instance; `instance` is who holds it, None while nobody does."""

    def __init__(self, starter: Starter, *, clock: Clock, health_check: HealthCheck) -> None:
        self.instance: Instance | None = None
        self._starter = starter
        self._clock = clock
        self._health_check = health_check
        self._keeper: asyncio.Task[None] | None = None

    @property
    def outstanding(self) -> int:
        """Invocations that whoever holds it is answering now."""
        return 0 if self.instance is None else self.instance.outstanding

    @property
    def can_serve(self) -> bool:
        """Whether a healthy instance holds it."""
        return self.instance is not None and self.instance.can_serve

    async def fill(self, timeout_s: float) -> None:
        """Until a healthy instance holds it; raises `PingFailedError`."""
        self.instance = await self._starter.bring_up(timeout_s)

    def keep_filled(self, *, startup_timeout_s: float) -> None:
        """From now on, replace whoever is lost."""
        self._keeper = asyncio.create_task(self._keep(startup_timeout_s))

    async def stop(self) -> None:
        """End whoever holds it, and replace nobody any more."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self.instance is not None:
            await self.instance.stop()

    async def _keep(self, startup_timeout_s: float) -> None:
        failures = 0
        while self.instance is not None:
            healthy_since = self._clock.monotonic()
            cause = await self._until_lost(self.instance)
            _log.warning(
                "instance %s of endpoint %s %s",
                self.instance.instance_id,
                self._starter.spec.endpoint_name,
                cause,
            )
            lived_s = self._clock.monotonic() - healthy_since
            failures = 0 if lived_s >= _STEADY_S else failures + 1
            failures += await self._replace(startup_timeout_s, failures=failures)

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

    async def _replace(self, startup_timeout_s: float, *, failures: int) -> int:
        """Until another healthy instance holds it; how many fruitless rounds that took."""
        rounds = 0
        while True:
            if failures + rounds > 1:  # the first death is nothing to wait for
                await self._clock.sleep(backoff_s(failures + rounds))
            try:
                await self.fill(startup_timeout_s)
            except PingFailedError:
                rounds += 1
            else:
                return rounds
