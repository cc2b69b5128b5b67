"""Application Auto Scaling of SageMaker's variants: targets, policies, and the alarm of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from portside.aws.session import Session, explained
from portside.errors import RemoteError

_NAMESPACE: Final = "sagemaker"
_GONE: Final = "ObjectNotFoundException"
_CONFIGURATIONS: Final = {
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
    "StepScaling": "StepScalingPolicyConfiguration",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Between which bounds a capacity may be moved; `resource_id` is `endpoint/E/variant/V`."""

    resource_id: str
    dimension: str
    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a capacity follows; `configuration` in AWS's spelling."""

    name: str
    resource_id: str
    dimension: str
    configuration: dict[str, Any]


def list_targets(session: Session, *, resource_ids: list[str] | None = None) -> list[Target]:
    """SageMaker's scalable targets: those of some variants, or all."""
    chosen: dict[str, Any] = {} if resource_ids is None else {"ResourceIds": resource_ids}
    with explained("application-autoscaling", "DescribeScalableTargets"):
        pages = session.autoscaling.get_paginator("describe_scalable_targets").paginate(
            ServiceNamespace=_NAMESPACE, **chosen
        )
        return [
            Target(
                resource_id=target["ResourceId"],
                dimension=target["ScalableDimension"],
                least=target["MinCapacity"],
                most=target["MaxCapacity"],
            )
            for page in pages
            for target in page["ScalableTargets"]
        ]


def list_policies(session: Session, *, resource_id: str) -> list[Policy]:
    """The policies of a variant."""
    with explained("application-autoscaling", "DescribeScalingPolicies"):
        pages = session.autoscaling.get_paginator("describe_scaling_policies").paginate(
            ServiceNamespace=_NAMESPACE, ResourceId=resource_id
        )
        return [
            Policy(
                name=policy["PolicyName"],
                resource_id=policy["ResourceId"],
                dimension=policy["ScalableDimension"],
                configuration=dict(policy.get(_CONFIGURATIONS.get(policy["PolicyType"], ""), {})),  # type: ignore[call-overload]  # one of two members by name
            )
            for page in pages
            for policy in page["ScalingPolicies"]
        ]


def register_target(session: Session, target: Target) -> None:
    """Let a capacity be moved within these bounds; other bounds are replaced."""
    with explained("application-autoscaling", "RegisterScalableTarget"):
        session.autoscaling.register_scalable_target(
            ServiceNamespace=_NAMESPACE,
            ResourceId=target.resource_id,
            ScalableDimension=target.dimension,  # type: ignore[arg-type]  # one of two, by deploy.scaling
            MinCapacity=target.least,
            MaxCapacity=target.most,
        )


def deregister_target(session: Session, *, resource_id: str, dimension: str) -> None:
    """Leave a capacity alone, and drop its policies; a target that is gone is no error."""
    try:
        with explained("application-autoscaling", "DeregisterScalableTarget"):
            session.autoscaling.deregister_scalable_target(
                ServiceNamespace=_NAMESPACE,
                ResourceId=resource_id,
                ScalableDimension=dimension,  # type: ignore[arg-type]  # as above
            )
    except RemoteError as error:
        if error.code != _GONE:
            raise


def put_policy(session: Session, policy: Policy, *, policy_type: str) -> str:
    """Put a policy in place of one of that name; its ARN, for an alarm to act on."""
    configuration: dict[str, Any] = {_CONFIGURATIONS[policy_type]: policy.configuration}
    with explained("application-autoscaling", "PutScalingPolicy"):
        answer = session.autoscaling.put_scaling_policy(
            PolicyName=policy.name,
            ServiceNamespace=_NAMESPACE,
            ResourceId=policy.resource_id,
            ScalableDimension=policy.dimension,  # type: ignore[arg-type]  # as above
            PolicyType=policy_type,  # type: ignore[arg-type]  # a key of the table above
            **configuration,
        )
    return answer["PolicyARN"]


def delete_policy(session: Session, *, name: str, resource_id: str, dimension: str) -> None:
    """Remove a policy; one that is gone already is no error."""
    try:
        with explained("application-autoscaling", "DeleteScalingPolicy"):
            session.autoscaling.delete_scaling_policy(
                PolicyName=name,
                ServiceNamespace=_NAMESPACE,
                ResourceId=resource_id,
                ScalableDimension=dimension,  # type: ignore[arg-type]  # as above
            )
    except RemoteError as error:
        if error.code != _GONE:
            raise


# --- The alarm of a step scaling policy -----------------------------------------


def alarm_exists(session: Session, name: str) -> bool:
    """Whether there is a metric alarm of that name."""
    with explained("cloudwatch", "DescribeAlarms"):
        found = session.cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])
    return bool(found.get("MetricAlarms"))


def put_alarm(session: Session, alarm: dict[str, Any], *, action: str) -> None:
    """Put a metric alarm, in AWS's spelling, that acts on one thing: the policy of that ARN."""
    with explained("cloudwatch", "PutMetricAlarm"):
        session.cloudwatch.put_metric_alarm(**alarm, AlarmActions=[action])


def delete_alarm(session: Session, name: str) -> None:
    """Remove an alarm; one that is gone already is no error."""
    try:
        with explained("cloudwatch", "DeleteAlarms"):
            session.cloudwatch.delete_alarms(AlarmNames=[name])
    except RemoteError as error:
        if error.code != "ResourceNotFound":
            raise
