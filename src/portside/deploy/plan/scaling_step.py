"""The steps of auto scaling: what is registered for an endpoint's variants, against what is wanted.

SageMaker refuses an update that takes away a variant, or its instance type, from under a
scalable target (DG endpoint-auto-scaling, "Update or delete endpoints that use automatic
scaling"), so such a target is released before the update, and registered anew after it.
"""

from __future__ import annotations

from portside.deploy.current.current import (
    BEYOND_REPAIR,
    Current,
    EndpointNow,
    PolicyNow,
    TargetNow,
)
from portside.deploy.desired.name import wake_alarm
from portside.deploy.desired.resources import Desired, Endpoint, Kind, ScalableTarget, ScalingPolicy
from portside.deploy.desired.scaling import INSTANCE_COUNT
from portside.deploy.plan.difference import differences, holds
from portside.deploy.plan.step import Step, Verb, create, step


def released(endpoint: Endpoint, desired: Desired, current: Current) -> tuple[TargetNow, ...]:
    """The targets that are not wanted, or that stand in the way of what is to happen.

    Of an endpoint that is deleted and made anew all of them: AWS may drop them with it.
    """
    now = current.endpoints.get(endpoint.name)
    wanted = {
        (found.name, found.dimension)
        for found in desired.resources
        if isinstance(found, ScalableTarget)
    }
    moved = _moved(endpoint, desired, now)
    return tuple(
        target
        for target in current.targets
        if target.endpoint == endpoint.name
        and (
            (target.resource_id, target.dimension) not in wanted
            or target.resource_id.rpartition("/")[2] in moved
            or (now is not None and now.status in BEYOND_REPAIR)
        )
    )


def release_steps(endpoint: Endpoint, desired: Desired, current: Current) -> list[Step]:
    """The steps before an update; policies go with their target, alarms do not.

    An alarm acts on a policy by an ARN that is the policy's own and not that of its successor, so
    it goes as well.
    """
    targets = released(endpoint, desired, current)
    wanted = {found.name for found in desired.resources if isinstance(found, ScalingPolicy)}
    gone = {(target.resource_id, target.dimension) for target in targets}
    policies = [
        policy
        for policy in current.policies
        if policy.resource_id.startswith(f"endpoint/{endpoint.name}/")
        and policy.name.startswith("portside-")
        and policy.name not in wanted
        and (policy.resource_id, policy.dimension) not in gone
    ]
    alarm = wake_alarm(endpoint.name)
    is_over = alarm not in wanted or any(dimension == INSTANCE_COUNT for _, dimension in gone)
    alarms = [alarm] if alarm in current.alarms and is_over else []
    return [
        *(_delete(Kind.ALARM, name) for name in alarms),
        *(_delete(Kind.SCALING_POLICY, policy.name, policy) for policy in policies),
        *(_delete(Kind.SCALABLE_TARGET, target.resource_id, target) for target in targets),
    ]


def target_steps(target: ScalableTarget, desired: Desired, current: Current) -> list[Step]:
    """The step that registers a target within its bounds, where it is not."""
    now = _target(target, desired, current)
    if now is None:
        return [create(target)]
    changes = differences(
        {"MinCapacity": now.least, "MaxCapacity": now.most},
        {"MinCapacity": target.least, "MaxCapacity": target.most},
    )
    return [step(Verb.UPDATE, target, "has other bounds", changes)] if changes else []


def policy_steps(policy: ScalingPolicy, desired: Desired, current: Current) -> list[Step]:
    """The step that puts a policy, where there is none or another."""
    target = next(
        found
        for found in desired.resources
        if isinstance(found, ScalableTarget)
        and (found.name, found.dimension) == (policy.resource_id, policy.dimension)
    )
    now = next(
        (
            found
            for found in current.policies
            if (found.name, found.resource_id) == (policy.name, policy.resource_id)
        ),
        None,
    )
    if now is None or _target(target, desired, current) is None:
        return [create(policy)]
    if not holds(now.configuration, policy.configuration):
        told = differences(now.configuration, policy.configuration)
        changes = tuple(change for change in told if change.new is not None)  # not AWS's defaults
        return [step(Verb.UPDATE, policy, "differs", changes)]
    if policy.alarm is not None and policy.alarm["AlarmName"] not in current.alarms:
        return [step(Verb.UPDATE, policy, "its alarm does not exist")]
    return []


def keeps_capacity(endpoint: Endpoint, desired: Desired, current: Current) -> bool:
    """Whether instances were counted by auto scaling, and still are: an update leaves them so."""
    gone = released(endpoint, desired, current)
    return any(
        target.endpoint == endpoint.name
        and target.dimension == INSTANCE_COUNT
        and target not in gone
        for target in current.targets
    )


def _target(target: ScalableTarget, desired: Desired, current: Current) -> TargetNow | None:
    """The target as it stands once what is in the way of an update was released."""
    endpoint = next(found for found in desired.endpoints if found.name == target.endpoint)
    gone = released(endpoint, desired, current)
    return next(
        (
            found
            for found in current.targets
            if (found.resource_id, found.dimension) == (target.name, target.dimension)
            and found not in gone
        ),
        None,
    )


def _moved(endpoint: Endpoint, desired: Desired, now: EndpointNow | None) -> set[str]:
    """The variants whose instance type the update changes."""
    if now is None or now.live is None:
        return set()
    wanted = {
        variant["VariantName"]: variant.get("InstanceType")
        for variant in desired.configs[endpoint.config_name].variants
    }
    return {
        variant["VariantName"]
        for variant in now.live.variants
        if variant.get("InstanceType") != wanted.get(variant["VariantName"])
    }


def _delete(kind: Kind, name: str, existing: TargetNow | PolicyNow | None = None) -> Step:
    reason = "is not wanted"
    if kind is Kind.SCALABLE_TARGET:
        reason = "is not wanted, or stands in the way of the update"
    return Step(verb=Verb.DELETE, kind=kind, name=name, reason=reason, existing=existing)
