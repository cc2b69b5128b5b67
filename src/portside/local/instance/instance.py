"""One running copy of a model's container: what it is started from, its health, its end.

Its states are in `instance_state`. What it runs in is behind two protocols: a
`Launcher` starts a `Process`. That is a process of the operating system or a
container; nothing here knows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from portside.contract import STOP_GRACE_S
from portside.local.instance.instance_state import MOVES, InstanceEvent, InstanceState
from portside.local.state_machine import transition

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from portside.local.clock import Clock

PING_INTERVAL_S: Final = 0.2
"""Between two attempts while it starts. SageMaker's own is not documented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """When a healthy instance is no longer taken for one: so many failed pings in a row.

    SageMaker's own numbers are not documented; these are ours. An instance answers
    `/ping` while it predicts, so one that is only busy does not fail it.
    """

    period_s: float = 5.0
    failures: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpec:
    """What an instance is started from; `environment` is the Model's own.

    `memory_limit_bytes`: what it may have; it is ended when it takes more.
    `is_confined`: as on serverless, with an unprivileged user, a tree that cannot be written to
    but for the temp folder, and no `/dev/shm`. `instance_type` is None on serverless.
    """

    instance_id: str
    image: str
    environment: dict[str, str]
    model_dir: Path
    region: str
    log_group: str
    log_stream: str
    memory_limit_bytes: int | None = None
    is_confined: bool = False
    instance_type: str | None = None


class Process(Protocol):
    """What an instance runs in. It answers on `127.0.0.1:port`."""

    @property
    def port(self) -> int:
        """Where it was told to listen."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        ...

    @property
    def group(self) -> int | None:
        """Its process group on this machine; None where it has none that we may look at."""
        ...

    async def wait(self) -> int:
        """Until it is gone, its output stored and its leavings cleared.

        The exit code, negative for a signal.
        """
        ...

    def terminate(self) -> None:
        """Ask it to stop: SIGTERM."""
        ...

    def kill(self) -> None:
        """End it with everything that it started: SIGKILL."""
        ...


class Launcher(Protocol):
    """What can start instances."""

    async def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError`."""
        ...

    async def launch(self, spec: InstanceSpec) -> Process:
        """Start one; raises OSError when the machine cannot."""
        ...

    def kill_leftovers(self) -> None:
        """End what an earlier life of the local SageMaker left running."""
        ...


class Pinger(Protocol):
    """What can ask an instance for its health."""

    async def ping(self, port: int) -> bool:
        """Whether `/ping` answers 200 within SageMaker's time for one attempt."""
        ...


class Instance:
    """A launched process on its way from `/ping` to its end.

    `outstanding` counts the invocations that it is answering now, `served` those
    that it was ever given; `Fleet` chooses by them.
    """

    def __init__(
        self,
        process: Process,
        *,
        instance_id: str,
        pinger: Pinger,
        clock: Clock,
        stop_grace_s: float = STOP_GRACE_S,
    ) -> None:
        self.instance_id = instance_id
        self.state = InstanceState.STARTING
        self.outstanding = 0
        self.served = 0
        self._process = process
        self._pinger = pinger
        self._clock = clock
        self._stop_grace_s = stop_grace_s

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._process.port

    @property
    def group(self) -> int | None:
        """Its process group on this machine, if it is one."""
        return self._process.group

    @property
    def can_serve(self) -> bool:
        """Whether it is healthy, and its process has not ended just now."""
        return self.state is InstanceState.HEALTHY and self._process.is_alive

    async def become_healthy(self, *, deadline: float) -> bool:
        """Ask `/ping` until it answers; False when the process ends or the time does first."""
        while self._process.is_alive and self._clock.monotonic() < deadline:
            if await self._pinger.ping(self.port) and self._process.is_alive:
                self._move(InstanceEvent.PING)
                return True
            await self._clock.sleep(PING_INTERVAL_S)
        if not self._process.is_alive:
            await self._process.wait()
            self._move(InstanceEvent.EXIT)
        return False

    async def exited(self) -> int:
        """Until its process has ended by itself; the exit code."""
        code = await self._process.wait()
        if self.state is InstanceState.HEALTHY:
            self._move(InstanceEvent.EXIT)
        return code

    async def unanswering(self, check: HealthCheck) -> None:
        """Until it has failed the health check, whether it runs or not."""
        failures = 0
        while failures < check.failures:
            await self._clock.sleep(check.period_s)
            failures = 0 if await self._pinger.ping(self.port) else failures + 1

    async def kill(self) -> None:
        """SIGKILL at once, for one that does not answer any more."""
        self._move(InstanceEvent.STOP)
        self._process.kill()
        await self._process.wait()
        self._move(InstanceEvent.EXIT)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when the grace is over; nothing for one that has ended."""
        if self.state in {InstanceState.STOPPED, InstanceState.FAILED}:
            return
        if self.state is not InstanceState.STOPPING:
            self._move(InstanceEvent.STOP)
        self._process.terminate()
        try:
            async with asyncio.timeout(self._stop_grace_s):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self.state is InstanceState.STOPPING:
            self._move(InstanceEvent.EXIT)

    def _move(self, event: InstanceEvent) -> None:
        self.state = transition(self.state, event, moves=MOVES)


def groups_of(instances: Iterable[Instance]) -> tuple[int, ...]:
    """The process groups of those that run as processes of this machine."""
    groups = (instance.group for instance in instances if instance.can_serve)
    return tuple(group for group in groups if group is not None)
