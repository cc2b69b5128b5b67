"""How the traffic moves from the fleet that served to the new one, and back when it must.

    green 10 % ─▶ wait, alarms watched ─▶ green 100 % ─▶ wait, alarms watched ─▶ blue may go
                         └── ALARM, or too long: roll back ──┘

The steps are those of SageMaker's DeploymentConfig (BC BlueGreenUpdatePolicy, DG
deployment-guardrails). A rolling update is played as a linear one whose steps are its
batches: traffic and waits are the same, but all new instances are up before the first step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside.local.refusal import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from portside.local.clock import Clock

_WATCH_INTERVAL_S: Final = 1.0
"""Between two looks at the alarms."""

_SIZE_OF: Final = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}
_PERCENT: Final = {"CanarySize": (1, 50), "LinearStepSize": (10, 50), "MaximumBatchSize": (5, 50)}
"""How much of the capacity a step may be. BC TrafficRoutingConfig, RollingUpdatePolicy."""

_MAX_EXECUTION_S: Final = 28800
"""Where the policy names no limit: the most that it could name. BC BlueGreenUpdatePolicy."""


class Alarms(Protocol):
    """Who knows CloudWatch's alarms."""

    async def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        """The states of those that there are, by name: OK, ALARM or INSUFFICIENT_DATA."""
        ...


class RollBackError(Exception):
    """The traffic has to go back; the message is the FailureReason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`share` of the traffic to green, then `wait_s` in which nothing may go wrong."""

    share: float
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftPlan:
    """All steps, what is watched meanwhile, and how long blue stays after the last."""

    steps: tuple[Step, ...] = (Step(share=1.0, wait_s=0.0),)
    termination_wait_s: float = 0.0
    max_execution_s: float = _MAX_EXECUTION_S
    alarms: tuple[str, ...] = ()

    def at_pace(self, pace: float) -> ShiftPlan:
        """The plan with its waits so many times shorter."""
        return replace(
            self,
            steps=tuple(replace(step, wait_s=step.wait_s / pace) for step in self.steps),
            termination_wait_s=self.termination_wait_s / pace,
        )


def plan_shift(config: Mapping[str, Any] | None, *, instance_count: int) -> ShiftPlan:
    """The plan of a DeploymentConfig; without one all at once and no baking, as on SageMaker."""
    config = config or {}
    policy: Mapping[str, Any] = config.get("BlueGreenUpdatePolicy") or {}
    rolling: Mapping[str, Any] = config.get("RollingUpdatePolicy") or {}
    limit = policy.get("MaximumExecutionTimeoutInSeconds") or rolling.get(
        "MaximumExecutionTimeoutInSeconds"
    )
    alarms = (config.get("AutoRollbackConfiguration") or {}).get("Alarms", [])
    return ShiftPlan(
        steps=_rolling_steps(rolling, instance_count)
        if rolling
        else _steps(policy, instance_count),
        termination_wait_s=policy.get("TerminationWaitInSeconds", 0),
        max_execution_s=limit or _MAX_EXECUTION_S,
        alarms=tuple(alarm["AlarmName"] for alarm in alarms if "AlarmName" in alarm),
    )


def check_deployment_config(config: Mapping[str, Any]) -> None:
    """Refuse a DeploymentConfig that no plan can be made of. The rules are BC's, the words ours."""
    blue_green: Mapping[str, Any] | None = config.get("BlueGreenUpdatePolicy")
    rolling: Mapping[str, Any] | None = config.get("RollingUpdatePolicy")
    if blue_green is not None and rolling is not None:
        raise invalid("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy may be given.")
    if rolling is not None:
        _check_size(rolling, "MaximumBatchSize")
    routing = (blue_green or {}).get("TrafficRoutingConfiguration", {})
    if (name := _SIZE_OF.get(routing.get("Type", ""))) is None:
        return
    if name not in routing:
        raise invalid(f"TrafficRoutingConfiguration of type {routing['Type']} must have a {name}.")
    _check_size(routing, name)


def _check_size(policy: Mapping[str, Any], name: str) -> None:
    least, most = _PERCENT[name]
    size = policy[name]
    if size["Type"] == "CAPACITY_PERCENT" and not least <= size["Value"] <= most:
        raise invalid(f"{name} must be between {least} and {most} percent of the capacity.")


async def shift(
    plan: ShiftPlan,
    *,
    move: Callable[[Step], None],
    alarms: Alarms,
    clock: Clock,
) -> None:
    """Move the traffic step by step; raises `RollBackError`, and the caller moves it back."""
    deadline = clock.monotonic() + plan.max_execution_s
    for step in plan.steps:
        move(step)
        await _watch(plan, step.wait_s, alarms=alarms, clock=clock, deadline=deadline)


async def _watch(
    plan: ShiftPlan, wait_s: float, *, alarms: Alarms, clock: Clock, deadline: float
) -> None:
    ends = clock.monotonic() + wait_s
    while True:
        await _check_alarms(plan.alarms, alarms)
        now = clock.monotonic()
        if now >= ends:
            return
        if now >= deadline:
            raise RollBackError(
                f"The update did not end within its {plan.max_execution_s:.0f} seconds"
                " (MaximumExecutionTimeoutInSeconds)."
            )
        await clock.sleep(min(_WATCH_INTERVAL_S, ends - now))


async def _check_alarms(names: Sequence[str], alarms: Alarms) -> None:
    if not names:
        return
    states = await alarms.alarm_states(names)
    ringing = sorted(name for name, state in states.items() if state == "ALARM")
    if ringing:  # our words: what AWS says is not documented
        raise RollBackError(
            f"The update was rolled back because of CloudWatch alarms in ALARM state:"
            f" {', '.join(ringing)}."
        )


def _steps(policy: Mapping[str, Any], instance_count: int) -> tuple[Step, ...]:
    routing: Mapping[str, Any] = policy.get("TrafficRoutingConfiguration") or {}
    wait_s = routing.get("WaitIntervalInSeconds", 0)
    match routing.get("Type", "ALL_AT_ONCE"):
        case "CANARY":
            shares: Iterable[float] = (_share(routing["CanarySize"], instance_count), 1.0)
        case "LINEAR":
            shares = _in_steps_of(_share(routing["LinearStepSize"], instance_count))
        case _:
            shares = (1.0,)
    return tuple(Step(share=share, wait_s=wait_s) for share in shares)


def _rolling_steps(policy: Mapping[str, Any], instance_count: int) -> tuple[Step, ...]:
    shares = _in_steps_of(_share(policy["MaximumBatchSize"], instance_count))
    return tuple(Step(share=share, wait_s=policy["WaitIntervalInSeconds"]) for share in shares)


def _in_steps_of(share: float) -> Iterable[float]:
    done = share
    while done < 1 - share / 100:  # the last step may be a smaller one, but not one of rounding
        yield done
        done += share
    yield 1.0


def _share(size: Mapping[str, Any], instance_count: int) -> float:
    """CapacitySize as a share of the whole."""
    value: int = size["Value"]
    whole = max(1, instance_count) if size["Type"] == "INSTANCE_COUNT" else 100
    return min(1.0, value / whole)
