"""Brings endpoints from what was asked of them to what they are.

The store is the truth: services write what is wanted, the controller looks and
acts, and writes what became of it. It does the same after a restart, so nothing
that was acknowledged is lost.

    service writes ─▶ reconcile ─▶ the endpoint as it is kept ─▶ rollout ─▶ record
                                        ▲  until it is at rest                │
                                        └─────────────────────────────────────┘

What is done in each state is told in `rollout`. One task for each endpoint that
something is being done to; an endpoint at rest has none, because its fleet looks after
its instances by itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from portside.local.endpoint.cleaning import Cleaning, Prunable
from portside.local.endpoint.provision import ProvisionError
from portside.local.endpoint.record import Record
from portside.local.endpoint.rollout import Rollout
from portside.local.refusal import BUG
from portside.local.state.database import StateFileError
from portside.local.state.deployment import Endpoint
from portside.local.state.endpoint_state import EndpointEvent, EndpointStatus
from portside.local.state.resource import Kind

if TYPE_CHECKING:
    from portside.local.capacity.traffic import Traffic
    from portside.local.clock import Clock
    from portside.local.endpoint.provision import Provisioner
    from portside.local.endpoint.shift import Alarms
    from portside.local.instance.instance import Launcher
    from portside.local.s3.artifact_cache import ArtifactCache
    from portside.local.state.store import Store

_log = logging.getLogger(__name__)

_WRITE_RETRY_S: Final = 1.0
"""Between two attempts while the state file cannot be written."""


class Controller:
    """Reconciles endpoints, between `start` and `stop`.

    `pace`: how many times faster than on AWS the waits of an update go by.
    """

    def __init__(
        self,
        *,
        store: Store,
        launcher: Launcher,
        provisioner: Provisioner,
        artifacts: ArtifactCache,
        alarms: Alarms,
        clock: Clock,
        images: Prunable | None = None,
        pace: float = 1.0,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._artifacts = artifacts
        self._clock = clock
        self._cleaning = Cleaning(store, artifacts=artifacts, images=images)
        self._rollout = Rollout(
            Record(store, clock=clock),
            provisioner=provisioner,
            alarms=alarms,
            cleaning=self._cleaning,
            clock=clock,
            pace=pace,
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """End what an earlier life left, and take up every endpoint where it stood."""
        self._launcher.kill_leftovers()
        self._artifacts.clear_partial()
        for resource in self._store.all_of(Kind.ENDPOINT):
            endpoint = Endpoint.of(resource)
            restarted = endpoint.moved(EndpointEvent.RESTART, at_ms=self._clock.now_ms())
            if restarted.status is not endpoint.status:
                self._store.save(restarted.resource())
            self.reconcile(endpoint.arn)
        await self._cleaning.clean()

    async def stop(self) -> None:
        """Stop every instance; the endpoints stay as they are in the store."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._rollout.stop()

    def reconcile(self, arn: str) -> None:
        """Look at an endpoint, because what is wanted of it has changed."""
        running = self._tasks.get(arn)
        if running is None or running.done():
            self._tasks[arn] = asyncio.create_task(self._reconcile(arn))

    def traffic(self, arn: str) -> Traffic | None:
        """Who answers an endpoint's invocations now."""
        return self._rollout.traffic(arn)

    async def _reconcile(self, arn: str) -> None:
        """Act until the endpoint is at rest.

        Nothing is awaited between that look and the end of the task, so that `reconcile`
        never takes a task for running that will not look again.
        """
        while (resource := self._store.find(arn)) is not None:
            endpoint = Endpoint.of(resource)
            if endpoint.status in {EndpointStatus.IN_SERVICE, EndpointStatus.FAILED}:
                break
            try:
                if not await self._try_to_act(endpoint):
                    break
            except StateFileError as error:
                _log.error("endpoint %s, %s: %s", arn, endpoint.status, error)
                await self._rollout.give_up_green(arn)
                await self._clock.sleep(_WRITE_RETRY_S)
        self._tasks.pop(arn, None)

    async def _try_to_act(self, endpoint: Endpoint) -> bool:
        """Act; what goes wrong is written down. Whether to look again."""
        try:
            await self._rollout.carry_out(endpoint)
        except StateFileError:
            raise
        except ProvisionError as error:
            await self._rollout.fail(endpoint.arn, reason=str(error))
        except Exception:  # noqa: BLE001  whatever it is, the endpoint must not hang for ever
            _log.exception("a bug while endpoint %s was %s", endpoint.arn, endpoint.status)
            if endpoint.status is EndpointStatus.DELETING:
                return False  # stays so, and is tried again at the next start
            await self._rollout.fail(endpoint.arn, reason=BUG)
        return True
