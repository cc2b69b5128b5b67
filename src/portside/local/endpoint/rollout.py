"""What is done to an endpoint in each of its states.

    Creating         provisioned ─▶ traffic there
    Updating         provisioned ─▶ traffic shifted ─▶ old fleet drained and stopped
                       or, where only weights and capacities are new, resized in place
    RollingBack      traffic back ─▶ new fleet stopped
    SystemUpdating   what served before the restart, again
    Deleting         fleet stopped, row removed, artifact pruned

Blue is what serves, green what shall. What becomes of it goes into the record.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, assert_never

from portside.local.capacity.capacity import PingFailedError
from portside.local.capacity.traffic import Traffic
from portside.local.endpoint.shift import RollBackError, Step, plan_shift, shift
from portside.local.state.endpoint_state import EndpointEvent, EndpointStatus

if TYPE_CHECKING:
    from portside.local.capacity.capacity import Capacity
    from portside.local.capacity.traffic import Running
    from portside.local.clock import Clock
    from portside.local.endpoint.cleaning import Cleaning
    from portside.local.endpoint.provision import Provisioner
    from portside.local.endpoint.record import Record
    from portside.local.endpoint.shift import Alarms, ShiftPlan
    from portside.local.state.deployment import Deployment, Endpoint


class Rollout:
    """Has instances brought up and ended, and knows where the traffic of each endpoint goes.

    `pace`: how many times faster than on AWS the waits of an update go by.
    """

    def __init__(
        self,
        record: Record,
        *,
        provisioner: Provisioner,
        alarms: Alarms,
        cleaning: Cleaning,
        clock: Clock,
        pace: float,
    ) -> None:
        self._record = record
        self._provisioner = provisioner
        self._alarms = alarms
        self._cleaning = cleaning
        self._clock = clock
        self._pace = pace
        self._traffic: dict[str, Traffic] = {}  # by endpoint
        self._live: set[Capacity] = set()  # with traffic, on their way there, or being stopped

    def traffic(self, arn: str) -> Traffic | None:
        """Who answers an endpoint's invocations now."""
        return self._traffic.get(arn)

    async def stop(self) -> None:
        """Stop every instance; the endpoints stay as they are in the store."""
        await asyncio.gather(*(capacity.stop() for capacity in tuple(self._live)))

    async def carry_out(self, endpoint: Endpoint) -> None:
        """Do what the status asks for; raises `ProvisionError` and `StateFileError`."""
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

    async def fail(self, arn: str, *, reason: str) -> None:
        """Write down why. Where something served before, what was pending is given up."""
        latest = self._record.latest(arn)
        if latest is None:
            return
        await self.give_up_green(arn)  # where a bug came in between
        pending = latest.pending if latest.deployment is None else None
        self._record.fail(arn, pending=pending, reason=reason)

    async def give_up_green(self, arn: str) -> None:
        """All traffic to blue; green is drained and stopped."""
        traffic = self._traffic.get(arn)
        if traffic is None or traffic.green is None:
            return
        self._traffic[arn] = Traffic(blue=traffic.blue)
        await traffic.green.drain()
        await self._stop(traffic.green)

    async def _create(self, endpoint: Endpoint) -> None:
        running = await self._brought_up(endpoint, _pending(endpoint))
        self._record.settle(endpoint.arn, running.deployment)
        await self._cleaning.clean()

    async def _update(self, endpoint: Endpoint) -> None:
        """Blue/green: bring green up, shift the traffic, then end blue."""
        if endpoint.pending is None and endpoint.deployment is not None:
            self._record.settle(endpoint.arn, endpoint.deployment)  # all else was done
            return
        wanted = _pending(endpoint)
        plan = self._plan(endpoint, wanted)  # before there is a green that a bug could leave behind
        green = await self._provision(endpoint, wanted)
        traffic = self._traffic.get(endpoint.arn)
        if traffic is None:  # it failed, or nothing of it came back after a restart
            self._traffic[endpoint.arn] = Traffic(blue=green)
            self._record.settle(endpoint.arn, green.deployment)
            return
        try:
            await self._shift(endpoint.arn, plan, blue=traffic.blue, green=green)
        except RollBackError as error:
            self._record.begin_roll_back(endpoint.arn, reason=str(error))
            return
        self._record.note(endpoint.arn, deployment=green.deployment, pending=None, stage=None)
        self._traffic[endpoint.arn] = Traffic(blue=green)
        await self._clock.sleep(plan.termination_wait_s)
        await traffic.blue.drain()
        await self._stop(traffic.blue)
        self._record.settle(endpoint.arn, green.deployment)
        await self._cleaning.clean()

    async def _shift(self, arn: str, plan: ShiftPlan, *, blue: Running, green: Running) -> None:
        """The traffic to green, step by step; raises `RollBackError`."""

        def move(step: Step) -> None:
            self._traffic[arn] = Traffic(blue=blue, green=green, share=step.share)
            self._record.note(arn, stage="Baking" if step.wait_s else "ActivatingTraffic")

        await shift(plan, move=move, alarms=self._alarms, clock=self._clock)

    async def _roll_back(self, endpoint: Endpoint) -> None:
        await self.give_up_green(endpoint.arn)
        self._record.note(endpoint.arn, EndpointEvent.HEALTHY)
        await self._cleaning.clean()

    async def _scale(self, endpoint: Endpoint) -> None:
        """Other weights and capacities for the fleet that serves."""
        wanted = _pending(endpoint)
        traffic = self._traffic[endpoint.arn]
        try:
            blue = await traffic.blue.resize(wanted)
        except PingFailedError:
            await traffic.blue.resize(traffic.blue.deployment)
            self._record.begin_roll_back(
                endpoint.arn,
                reason="The instances asked for did not pass the ping health check. Please check"
                " CloudWatch logs for this endpoint.",
            )
            return
        self._traffic[endpoint.arn] = Traffic(blue=blue)
        self._record.settle(endpoint.arn, wanted)

    async def _bring_back(self, endpoint: Endpoint) -> None:
        """Start again what served before the restart, then go on with an update cut short."""
        if endpoint.deployment is None:
            raise LookupError(f"{endpoint.arn} is {endpoint.status} and never served")
        running = await self._brought_up(endpoint, endpoint.deployment)
        goes_on = () if endpoint.pending is None else (EndpointEvent.UPDATE,)
        self._record.note(
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
        self._record.remove(endpoint.arn)
        await self._cleaning.clean()

    async def _brought_up(self, endpoint: Endpoint, wanted: Deployment) -> Running:
        """The first that serves in this life, unless it does and could not be written down."""
        traffic = self._traffic.get(endpoint.arn)
        if traffic is None:
            traffic = Traffic(blue=await self._provision(endpoint, wanted))
            self._traffic[endpoint.arn] = traffic
        return traffic.blue

    async def _provision(self, endpoint: Endpoint, wanted: Deployment) -> Running:
        def resolved(deployment: Deployment) -> None:
            if endpoint.status is EndpointStatus.SYSTEM_UPDATING:
                self._record.note(endpoint.arn, deployment=deployment)
            else:
                self._record.note(endpoint.arn, pending=deployment)

        self._record.note(endpoint.arn, stage="Creating")
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


def _pending(endpoint: Endpoint) -> Deployment:
    if endpoint.pending is None:
        raise LookupError(f"{endpoint.arn} is {endpoint.status} with nothing pending")
    return endpoint.pending
