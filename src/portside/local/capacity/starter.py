"""Brings an instance up: launched, pinged until it is healthy, tried again when it ends.

    launch ─▶ /ping … 200 ─▶ healthy
      ▲                └── ends ─▶ backoff ─┐
      └──────────── at most three tries ────┘

What is not healthy in time is stopped again.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.contract import LOG_GROUP_PREFIX
from portside.local.capacity.capacity import PingFailedError
from portside.local.instance.instance import Instance, InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.local.clock import Clock
    from portside.local.instance.instance import Launcher, Pinger
    from portside.local.state.deployment import Variant

MAX_TRIES: Final = 3
"""How often an instance that ends while it starts is launched, before it is given up."""

_FIRST_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 30.0
_MIB: Final = 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpec:
    """What the instances of a variant have in common."""

    endpoint_name: str
    region: str
    variant: Variant
    model_dir: Path

    def instance(self, instance_id: str) -> InstanceSpec:
        """What one of them is launched from."""
        serverless = self.variant.serverless
        return InstanceSpec(
            instance_id=instance_id,
            # By digest, so that a replacement runs what the endpoint was deployed with.
            image=self.variant.resolved_image or self.variant.image,
            environment=self.variant.environment,
            model_dir=self.model_dir,
            region=self.region,
            log_group=f"{LOG_GROUP_PREFIX}{self.endpoint_name}",
            log_stream=f"{self.variant.name}/{instance_id}",
            memory_limit_bytes=serverless["MemorySizeInMB"] * _MIB if serverless else None,
            is_confined=serverless is not None,
            instance_type=None if serverless else self.variant.instance_type,
        )


def new_instance_id() -> str:
    """`i-` and 17 hex digits, as EC2's: the log streams of an endpoint are named with it."""
    return f"i-{secrets.token_hex(9)[:17]}"


class Starter:
    """Starts instances of one variant, one at each call."""

    def __init__(
        self,
        spec: FleetSpec,
        *,
        launcher: Launcher,
        pinger: Pinger,
        clock: Clock,
        new_id: Callable[[], str] = new_instance_id,
    ) -> None:
        self.spec = spec
        self._launcher = launcher
        self._pinger = pinger
        self._clock = clock
        self._new_id = new_id

    async def bring_up(self, timeout_s: float) -> Instance:
        """A healthy instance; `PingFailedError` and nothing is left when there is none in time.

        The tries share an id, so that they share a log stream.
        """
        deadline = self._clock.monotonic() + timeout_s
        instance_id = self._new_id()
        for attempt in range(MAX_TRIES):
            if attempt:
                await self._clock.sleep(backoff_s(attempt))
            instance = await self._launch(instance_id)
            if instance is not None and await _is_healthy(instance, deadline=deadline):
                return instance
            if self._clock.monotonic() >= deadline:
                break
        raise PingFailedError

    async def _launch(self, instance_id: str) -> Instance | None:
        try:
            process = await self._launcher.launch(self.spec.instance(instance_id))
        except OSError:
            _log.exception("could not launch instance %s", instance_id)
            return None
        return Instance(process, instance_id=instance_id, pinger=self._pinger, clock=self._clock)


async def _is_healthy(instance: Instance, *, deadline: float) -> bool:
    """Whether it became healthy; one that did not is stopped."""
    is_healthy = False
    try:
        is_healthy = await instance.become_healthy(deadline=deadline)
    finally:
        if not is_healthy:
            await instance.stop()
    return is_healthy


def backoff_s(failures: int) -> float:
    """How long to wait before the next try, after so many failures in a row."""
    return min(_FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10), _LONGEST_BACKOFF_S)
