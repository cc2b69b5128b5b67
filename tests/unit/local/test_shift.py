"""Deployment configs as steps, and steps with alarms watched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from portside.local.endpoint.shift import RollBackError, ShiftPlan, Step, plan_shift, shift
from tests.unit.local.state_fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence


def blue_green(routing: dict[str, Any], **policy: Any) -> dict[str, Any]:
    wait = {"WaitIntervalInSeconds": 60}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": wait | routing} | policy}


def size(value: int, kind: str = "CAPACITY_PERCENT") -> dict[str, Any]:
    return {"Type": kind, "Value": value}


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (None, [1.0]),
        (blue_green({"Type": "ALL_AT_ONCE"}), [1.0]),
        (blue_green({"Type": "CANARY", "CanarySize": size(10)}), [0.1, 1.0]),
        (blue_green({"Type": "CANARY", "CanarySize": size(1, "INSTANCE_COUNT")}), [0.25, 1.0]),
        (blue_green({"Type": "LINEAR", "LinearStepSize": size(50)}), [0.5, 1.0]),
        (blue_green({"Type": "LINEAR", "LinearStepSize": size(40)}), [0.4, 0.8, 1.0]),
        (
            {"RollingUpdatePolicy": {"MaximumBatchSize": size(50), "WaitIntervalInSeconds": 1}},
            [0.5, 1.0],
        ),
    ],
)
def test_the_traffic_moves_in_these_steps(
    config: dict[str, Any] | None, shares: list[float]
) -> None:
    plan = plan_shift(config, instance_count=4)

    assert [step.share for step in plan.steps] == pytest.approx(shares)


def test_linear_steps_of_ten_percent_are_ten() -> None:
    config = blue_green({"Type": "LINEAR", "LinearStepSize": size(10)})

    assert len(plan_shift(config, instance_count=1).steps) == 10


def test_waits_limits_and_alarms_are_taken_over() -> None:
    config = blue_green(
        {"Type": "CANARY", "CanarySize": size(10)},
        TerminationWaitInSeconds=120,
        MaximumExecutionTimeoutInSeconds=600,
    ) | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}

    plan = plan_shift(config, instance_count=1).at_pace(60)

    assert [step.wait_s for step in plan.steps] == [1, 1]
    assert (plan.termination_wait_s, plan.max_execution_s) == (2, 600)
    assert plan.alarms == ("errors",)


@dataclass
class Alarm:
    """Rings from a moment on."""

    clock: FakeClock
    rings_at: float
    moves: list[float] = field(default_factory=list)

    async def alarm_states(self, names: Sequence[str]) -> dict[str, str]:
        state = "ALARM" if self.clock.monotonic() >= self.rings_at else "OK"
        return dict.fromkeys(names, state)

    def move(self, step: Step) -> None:
        self.moves.append(step.share)


PLAN = ShiftPlan(
    steps=(Step(share=0.1, wait_s=60), Step(share=1.0, wait_s=60)), alarms=("errors", "latency")
)


async def test_every_step_is_waited_for() -> None:
    clock = FakeClock()
    alarm = Alarm(clock, rings_at=clock.monotonic() + 121)
    begun = clock.monotonic()

    await shift(PLAN, move=alarm.move, alarms=alarm, clock=clock)

    assert alarm.moves == [0.1, 1.0]
    assert clock.monotonic() - begun == pytest.approx(120, abs=1)


@pytest.mark.parametrize(("after_s", "moves"), [(0, [0.1]), (30, [0.1]), (90, [0.1, 1.0])])
async def test_an_alarm_ends_it_at_once(after_s: float, moves: list[float]) -> None:
    clock = FakeClock()
    begun = clock.monotonic()
    alarm = Alarm(clock, rings_at=begun + after_s)

    with pytest.raises(RollBackError, match="errors, latency"):
        await shift(PLAN, move=alarm.move, alarms=alarm, clock=clock)

    assert alarm.moves == moves
    assert clock.monotonic() - begun == pytest.approx(after_s, abs=1)


async def test_one_that_takes_too_long_is_undone() -> None:
    clock = FakeClock()
    plan = ShiftPlan(steps=(Step(share=0.1, wait_s=3600),), max_execution_s=600)
    alarm = Alarm(clock, rings_at=float("inf"))

    with pytest.raises(RollBackError, match="600 seconds"):
        await shift(plan, move=alarm.move, alarms=alarm, clock=clock)
