"""The parts behind the gateway while they run: put up, cleared away, put up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from portside import __version__
from portside.local.endpoint.census import take_census

if TYPE_CHECKING:
    from portside.local.data_folder import DataFolder
    from portside.local.delegated.delegated import Delegated
    from portside.local.ecr.registry import EcrRegistry
    from portside.local.endpoint.controller import Controller
    from portside.local.instance.instance_client import InstanceClient
    from portside.local.instance.launcher import ChosenLauncher
    from portside.local.invocation.data_capture import DataCapture
    from portside.local.metric.metric_recorder import MetricRecorder
    from portside.local.metric.utilization import UtilizationMeter
    from portside.local.part import Parts
    from portside.local.s3.objects import ObjectStore
    from portside.local.scaling.autoscaling import Autoscaler
    from portside.local.state.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningParts:
    """What `Parts` are made of, started and stopped in order."""

    parts: Parts
    store: Store
    registry: EcrRegistry
    client: InstanceClient
    launcher: ChosenLauncher
    objects: ObjectStore
    controller: Controller
    delegated: Delegated
    recorder: MetricRecorder
    capture: DataCapture
    autoscaler: Autoscaler
    meter: UtilizationMeter

    async def start(self) -> None:
        """Start what runs by itself, last who counts on the others."""
        await self.launcher.check()
        await self.objects.start()
        await self.controller.start()
        self.recorder.start()
        self.autoscaler.start()
        self.meter.start()

    async def stop(self) -> None:
        """Stop it, first who counts on the others."""
        await asyncio.gather(self.autoscaler.stop(), self.meter.stop())
        await asyncio.gather(self.controller.stop(), self.recorder.stop(), self.capture.stop())
        await asyncio.gather(self.objects.stop(), self.delegated.stop())
        await self.client.close()
        self.registry.close()
        self.store.close()

    def services(self) -> dict[str, str]:
        """How each of AWS's services fares."""
        return {
            "s3": self.objects.state,
            **self.delegated.states(),
            **dict.fromkeys(self.parts.operations, "ready"),
        }


class Platform:
    """Owns the parts; `assemble` makes them from what the folder holds."""

    def __init__(self, folder: DataFolder, *, assemble: Callable[[], RunningParts]) -> None:
        self._folder = folder
        self._assemble = assemble
        self._running: RunningParts | None = None
        self._changing = asyncio.Lock()

    @property
    def parts(self) -> Parts | None:
        """The parts; None before `start`, while emptying and after `stop`."""
        return None if self._running is None else self._running.parts

    async def start(self) -> None:
        """Put the parts up from what the folder holds."""
        self._running = self._assemble()
        await self._running.start()

    async def stop(self) -> None:
        """Stop the parts; what they keep stays in the folder."""
        running, self._running = self._running, None
        if running is not None:
            await running.stop()

    async def reset(self) -> None:
        """Stop the parts, remove what they kept, put them up again."""
        async with self._changing:
            await self.stop()
            self._folder.clear()
            await self.start()

    def health(self) -> dict[str, Any]:
        """What is running and how it fares; anybody may ask, so no more than that."""
        running = self._running
        return {
            "status": "emptying" if running is None else "running",
            "version": __version__,
            "services": {} if running is None else running.services(),
        }

    def endpoints(self) -> list[dict[str, Any]]:
        """What runs of every endpoint, and how many invocations it had."""
        running = self._running
        return [] if running is None else take_census(running.store, running.controller)
