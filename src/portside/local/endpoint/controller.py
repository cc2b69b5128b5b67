"""Brings endpoints from what was asked of them to what they are.

The store is the truth: services write what is wanted, the controller looks and
acts, and writes what became of it. It does the same after a restart, so nothing
that was acknowledged is lost.

    Creating         provisioned ─▶ traffic there
    Updating         provisioned ─▶ traffic shifted ─▶ old fleet drained and stopped
                       or, where only weights and capacities are new, resized in place
    RollingBack      traffic back ─▶ new fleet stopped
    SystemUpdating   what served before the restart, again
    Deleting         fleet stopped, row removed, artifact pruned

One task for each endpoint that something is being done to; an endpoint at rest
has none, because its fleet looks after its instances by itself.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from portside.local.capacity.capacity import PingFailedError
from portside.local.capacity.traffic import Traffic
from portside.local.endpoint.provision import ProvisionError
from portside.local.endpoint.shift import RollBackError, Step, plan_shift, shift
from portside.local.refusal import BUG
from portside.local.state.deployment import Endpoint
from portside.local.state.endpoint_state import EndpointEvent, EndpointStatus
from portside.local.state.resource import Kind
from portside.local.state.store import StateFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portside.local.capacity.capacity import Capacity
    from portside.local.capacity.traffic import Running
    from portside.local.clock import Clock
    from portside.local.endpoint.provision import Provisioner
    from portside.local.endpoint.shift import Alarms, ShiftPlan
    from portside.local.instance.instance import Launcher
    from portside.local.s3.artifact_cache import ArtifactCache
    from portside.local.state.deployment import Deployment, Variant
    from portside.local.state.store import Store

_log = logging.getLogger(__name__)

_WRITE_RETRY_S: Final = 1.0
"""Between two attempts while the state file cannot be written."""

_MAX_REASON_LENGTH: Final = 1024  # BC FailureReason


class ImageTrees(Protocol):
    """What is kept of images for as long as an endpoint needs it."""

    async def prune(self, *, in_use: Callable[[], set[str]]) -> None:
        """Remove what is of other images than those with these digests."""
        ...


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
        images: ImageTrees | None = None,
        pace: float = 1.0,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._provisioner = provisioner
        self._artifacts = artifacts
        self._alarms = alarms
        self._clock = clock
        self._images = images
        self._pace = pace
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._traffic: dict[str, Traffic] = {}  # by endpoint
        self._live: set[Capacity] = set()  # with traffic, on their way there, or being stopped

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
        await self._tidy()

    async def stop(self) -> None:
        """Stop every instance; the endpoints stay as they are in the store."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(capacity.stop() for capacity in tuple(self._live)))

    def reconcile(self, arn: str) -> None:
        """Look at an endpoint, because what is wanted of it has changed."""
        running = self._tasks.get(arn)
        if running is None or running.done():
            self._tasks[arn] = asyncio.create_task(self._reconcile(arn))

    def traffic(self, arn: str) -> Traffic | None:
        """Who answers an endpoint's invocations now."""
        return self._traffic.get(arn)

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
                await self._give_up_green(arn)
                await self._clock.sleep(_WRITE_RETRY_S)
        self._tasks.pop(arn, None)

    async def _try_to_act(self, endpoint: Endpoint) -> bool:
        """Act; what goes wrong is written down. Whether to look again."""
        try:
            await self._act(endpoint)
        except StateFileError:
            raise
        except ProvisionError as error:
            await self._fail(endpoint.arn, reason=str(error))
        except Exception:  # noqa: BLE001  whatever it is, the endpoint must not hang for ever
            _log.exception("a bug while endpoint %s was %s", endpoint.arn, endpoint.status)
            if endpoint.status is EndpointStatus.DELETING:
                return False  # stays so, and is tried again at the next start
            await self._fail(endpoint.arn, reason=BUG)
        return True

    async def _act(self, endpoint: Endpoint) -> None:
        match endpoint.status:
            case EndpointStatus.CREATING:
                await self._create(endpoint)
            case EndpointStatus.UPDATING if endpoint.is_scaling:
                await self._scale(endpoint)
            case EndpointStatus.UPDATING:
                await self._update(endpoint)
            case EndpointStatus.ROLLING_BACK:
                await self._roll_back(endpoint)
            case EndpointStatus.SYSTEM_UPDATING:
                await self._bring_back(endpoint)
            case EndpointStatus.DELETING:
                await self._delete(endpoint)
            case EndpointStatus.IN_SERVICE | EndpointStatus.FAILED:
                return
            case _:
                assert_never(endpoint.status)

    async def _create(self, endpoint: Endpoint) -> None:
        running = await self._brought_up(endpoint, _pending(endpoint))
        self._settle(endpoint, running.deployment)
        await self._tidy()

    async def _brought_up(self, endpoint: Endpoint, wanted: Deployment) -> Running:
        """The first that serves in this life, unless it does and could not be written down."""
        traffic = self._traffic.get(endpoint.arn)
        if traffic is None:
            traffic = Traffic(blue=await self._provision(endpoint, wanted))
            self._traffic[endpoint.arn] = traffic
        return traffic.blue

    async def _update(self, endpoint: Endpoint) -> None:
        """Blue/green: bring green up, shift the traffic, then end blue."""
        if endpoint.pending is None and endpoint.deployment is not None:
            self._settle(endpoint, endpoint.deployment)  # all done, but for this last line
            return
        wanted = _pending(endpoint)
        plan = self._plan(endpoint, wanted)  # before there is a green that a bug could leave behind
        green = await self._provision(endpoint, wanted)
        traffic = self._traffic.get(endpoint.arn)
        if traffic is None:  # it failed, or nothing of it came back after a restart
            self._traffic[endpoint.arn] = Traffic(blue=green)
            self._settle(endpoint, green.deployment)
            return
        blue = traffic.blue

        def move(step: Step) -> None:
            self._traffic[endpoint.arn] = Traffic(blue=blue, green=green, share=step.share)
            self._note(endpoint.arn, stage="Baking" if step.wait_s else "ActivatingTraffic")

        try:
            await shift(plan, move=move, alarms=self._alarms, clock=self._clock)
        except RollBackError as error:
            self._begin_roll_back(endpoint.arn, reason=str(error))
            return
        self._note(endpoint.arn, deployment=green.deployment, pending=None, stage=None)
        self._traffic[endpoint.arn] = Traffic(blue=green)
        await self._clock.sleep(plan.termination_wait_s)
        await blue.drain()
        await self._stop(blue)
        self._settle(endpoint, green.deployment)
        await self._tidy()

    async def _roll_back(self, endpoint: Endpoint) -> None:
        await self._give_up_green(endpoint.arn)
        self._note(endpoint.arn, EndpointEvent.HEALTHY)
        await self._tidy()

    async def _give_up_green(self, arn: str) -> None:
        """All traffic to blue; green is drained and stopped."""
        traffic = self._traffic.get(arn)
        if traffic is None or traffic.green is None:
            return
        self._traffic[arn] = Traffic(blue=traffic.blue)
        await traffic.green.drain()
        await self._stop(traffic.green)

    async def _scale(self, endpoint: Endpoint) -> None:
        """Other weights and capacities for the fleet that serves."""
        wanted = _pending(endpoint)
        traffic = self._traffic[endpoint.arn]
        try:
            blue = await traffic.blue.resize(wanted)
        except PingFailedError:
            await traffic.blue.resize(traffic.blue.deployment)
            self._begin_roll_back(
                endpoint.arn,
                reason="The instances asked for did not pass the ping health check. Please check"
                " CloudWatch logs for this endpoint.",
            )
            return
        self._traffic[endpoint.arn] = Traffic(blue=blue)
        self._settle(endpoint, wanted)

    async def _bring_back(self, endpoint: Endpoint) -> None:
        """Start again what served before the restart, then go on with an update cut short."""
        if endpoint.deployment is None:
            raise LookupError(f"{endpoint.arn} is {endpoint.status} and never served")
        running = await self._brought_up(endpoint, endpoint.deployment)
        goes_on = () if endpoint.pending is None else (EndpointEvent.UPDATE,)
        self._note(
            endpoint.arn,
            EndpointEvent.HEALTHY,
            *goes_on,
            deployment=running.deployment,
            stage=None,
        )

    async def _delete(self, endpoint: Endpoint) -> None:
        traffic = self._traffic.pop(endpoint.arn, None)
        if traffic is not None:
            await self._stop(traffic.blue)
        self._store.remove(endpoint.arn)
        await self._tidy()

    async def _provision(self, endpoint: Endpoint, wanted: Deployment) -> Running:
        def resolved(deployment: Deployment) -> None:
            if endpoint.status is EndpointStatus.SYSTEM_UPDATING:
                self._note(endpoint.arn, deployment=deployment)
            else:
                self._note(endpoint.arn, pending=deployment)

        self._note(endpoint.arn, stage="Creating")
        made: list[Capacity] = []

        def note_made(capacity: Capacity) -> None:
            made.append(capacity)
            self._live.add(capacity)

        try:
            return await self._provisioner.provision(
                endpoint, wanted, on_resolved=resolved, on_made=note_made
            )
        except BaseException:
            self._live.difference_update(made)
            raise

    def _plan(self, endpoint: Endpoint, wanted: Deployment) -> ShiftPlan:
        count = sum(variant.instance_count for variant in wanted.variants)
        plan = plan_shift(endpoint.deployment_config, instance_count=count)
        return plan.at_pace(self._pace)

    async def _stop(self, running: Running) -> None:
        await running.stop()
        self._live.difference_update(running.capacities.values())

    def _begin_roll_back(self, arn: str, *, reason: str) -> None:
        _log.warning("endpoint %s: %s", arn, reason)
        reason = reason[:_MAX_REASON_LENGTH]
        self._note(
            arn,
            EndpointEvent.ROLL_BACK,
            pending=None,
            is_scaling=False,
            stage=None,
            failure_reason=reason,
        )

    def _settle(self, endpoint: Endpoint, deployment: Deployment) -> None:
        """Write down that this is what serves, and that all is done."""
        self._note(
            endpoint.arn,
            EndpointEvent.HEALTHY,
            deployment=deployment,
            pending=None,
            is_scaling=False,
            stage=None,
            failure_reason=None,
        )

    async def _fail(self, arn: str, *, reason: str) -> None:
        """Write down why. Where something served before, what was pending is given up."""
        _log.warning("endpoint %s: %s", arn, reason)
        resource = self._store.find(arn)
        if resource is None:
            return
        latest = Endpoint.of(resource)
        await self._give_up_green(arn)  # where a bug came in between
        pending = latest.pending if latest.deployment is None else None
        reason = reason[:_MAX_REASON_LENGTH]
        self._note(
            arn,
            EndpointEvent.UNHEALTHY,
            pending=pending,
            is_scaling=False,
            stage=None,
            failure_reason=reason,
        )

    def _note(self, arn: str, *events: EndpointEvent, **changes: object) -> None:
        """Change what is kept of an endpoint, and its status by what has happened, in one go."""
        resource = self._store.find(arn)
        if resource is not None:
            changed = replace(Endpoint.of(resource), **changes)  # type: ignore[arg-type]  # its fields
            for event in events:
                changed = changed.moved(event, at_ms=self._clock.now_ms())
            self._store.save(changed.resource())

    def _artifact_digests(self) -> set[str]:
        """The artifacts that endpoints need."""
        return {variant.model_data_digest or "" for variant in self._variants()}

    def _image_digests(self) -> set[str]:
        """The images that endpoints need."""
        return {(variant.resolved_image or "").partition("@")[2] for variant in self._variants()}

    def _variants(self) -> Iterator[Variant]:
        """Of all endpoints: what they run and what they are about to."""
        for resource in self._store.all_of(Kind.ENDPOINT):
            endpoint = Endpoint.of(resource)
            for deployment in (endpoint.deployment, endpoint.pending):
                yield from () if deployment is None else deployment.variants

    async def _tidy(self) -> None:
        """Remove what no endpoint needs; what cannot be removed now is tried again later."""
        try:
            await self._artifacts.prune(in_use=self._artifact_digests)
            if self._images is not None:
                await self._images.prune(in_use=self._image_digests)
        except OSError:
            _log.exception("could not remove unused model artifacts or images")


def _pending(endpoint: Endpoint) -> Deployment:
    if endpoint.pending is None:
        raise LookupError(f"{endpoint.arn} is {endpoint.status} with nothing pending")
    return endpoint.pending
