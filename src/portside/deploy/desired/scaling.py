"""What Application Auto Scaling is told of an endpoint's variants (pure).

An asynchronous endpoint without an instance has no backlog per instance, so the policy that
follows that would never wake it: a second one, with an alarm on `HasBacklogWithoutCapacity`,
adds the first instance. Source: DG async-inference-autoscale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from portside.config import (
    Async,
    AsyncScalingSection,
    Endpoint,
    ProvisionedScalingSection,
    Realtime,
    ScalingSection,
    Serverless,
)
from portside.deploy.desired import name
from portside.deploy.desired.resources import ScalableTarget, ScalingPolicy

INSTANCE_COUNT: Final = "sagemaker:variant:DesiredInstanceCount"
PROVISIONED_CONCURRENCY: Final = "sagemaker:variant:DesiredProvisionedConcurrency"

_METRICS: Final = {
    "invocations_per_instance": "SageMakerVariantInvocationsPerInstance",
    "concurrent_requests_per_model": "SageMakerVariantConcurrentRequestsPerModelHighResolution",
}
"""DG endpoint-auto-scaling-policy."""

_UTILIZATION: Final = "SageMakerVariantProvisionedConcurrencyUtilization"
"""DG serverless-endpoints-autoscale."""

_NAMESPACE: Final = "AWS/SageMaker"


def scaling(endpoint: Endpoint, variants: Sequence[str]) -> list[ScalableTarget | ScalingPolicy]:
    """The target of each variant, and what it follows; none where the settings have no scaling."""
    return [found for variant in variants for found in _of_variant(endpoint, variant)]


def _of_variant(endpoint: Endpoint, variant: str) -> list[ScalableTarget | ScalingPolicy]:
    match endpoint.settings:
        case Realtime(scaling=ScalingSection() as wanted):
            metric = _predefined(_METRICS[wanted.metric])
            return [
                _instances(endpoint, variant, wanted),
                _tracking(endpoint, variant, wanted, dimension=INSTANCE_COUNT, metric=metric),
            ]
        case Serverless(scaling=ProvisionedScalingSection() as wanted):
            metric = _predefined(_UTILIZATION)
            target = ScalableTarget(
                endpoint=endpoint.name,
                name=name.resource_id(endpoint.name, variant),
                dimension=PROVISIONED_CONCURRENCY,
                least=wanted.min_concurrency,
                most=wanted.max_concurrency,
            )
            return [
                target,
                _tracking(endpoint, variant, wanted, dimension=target.dimension, metric=metric),
            ]
        case Async(scaling=AsyncScalingSection() as wanted):
            metric = {"CustomizedMetricSpecification": _backlog(endpoint.name)}
            wake = [_wake(endpoint.name, variant, wanted)] if wanted.min_instances == 0 else []
            return [
                _instances(endpoint, variant, wanted),
                _tracking(endpoint, variant, wanted, dimension=INSTANCE_COUNT, metric=metric),
                *wake,
            ]
        case _:
            return []


def _predefined(metric: str) -> dict[str, Any]:
    return {"PredefinedMetricSpecification": {"PredefinedMetricType": metric}}


def _instances(
    endpoint: Endpoint, variant: str, wanted: ScalingSection | AsyncScalingSection
) -> ScalableTarget:
    return ScalableTarget(
        endpoint=endpoint.name,
        name=name.resource_id(endpoint.name, variant),
        dimension=INSTANCE_COUNT,
        least=wanted.min_instances,
        most=wanted.max_instances,
    )


def _tracking(
    endpoint: Endpoint,
    variant: str,
    wanted: ScalingSection | AsyncScalingSection | ProvisionedScalingSection,
    *,
    dimension: str,
    metric: dict[str, Any],
) -> ScalingPolicy:
    return ScalingPolicy(
        endpoint=endpoint.name,
        name=f"portside-{endpoint.name}-{variant}",
        resource_id=name.resource_id(endpoint.name, variant),
        dimension=dimension,
        policy_type="TargetTrackingScaling",
        configuration=metric
        | {
            "TargetValue": float(wanted.target),
            "ScaleInCooldown": wanted.scale_in_cooldown_s,
            "ScaleOutCooldown": wanted.scale_out_cooldown_s,
        },
    )


def _backlog(endpoint: str) -> dict[str, Any]:
    return {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": _NAMESPACE,
        "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
        "Statistic": "Average",
    }


def _wake(endpoint: str, variant: str, wanted: AsyncScalingSection) -> ScalingPolicy:
    return ScalingPolicy(
        endpoint=endpoint,
        name=name.wake_alarm(endpoint),
        resource_id=name.resource_id(endpoint, variant),
        dimension=INSTANCE_COUNT,
        policy_type="StepScaling",
        configuration={
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Average",
            "Cooldown": wanted.scale_out_cooldown_s,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
        },
        alarm={
            "AlarmName": name.wake_alarm(endpoint),
            "MetricName": "HasBacklogWithoutCapacity",
            "Namespace": _NAMESPACE,
            "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 2,
            "DatapointsToAlarm": 2,
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "missing",
        },
    )
