"""What a target tracking policy asks for, from what was measured in the last minutes.

As AWS does it: out when three minutes in a row lie above the target, in when fifteen lie below
nine tenths of it, each time to where the metric would meet the target (Application Auto Scaling
User Guide, "Target tracking scaling policies"; the numbers of minutes are those of the alarms
that AWS makes for a policy). A variant without traffic counts as one with zero (DG
endpoint-auto-scaling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.local.delegated.metric_store import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portside.local.delegated.scaling import ScalingPolicy

_PERIODS_OUT: Final = 3
PERIODS_IN: Final = 15
_IN_BELOW: Final = 0.9
_COOLDOWN_S: Final = 300
"""Of either direction, unless the policy names another. DG endpoint-auto-scaling-policy."""

_PREDEFINED: Final = {
    "SageMakerVariantInvocationsPerInstance": ("InvocationsPerInstance", "Sum"),
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": (
        "ConcurrentRequestsPerModel",
        "Maximum",
    ),
    "SageMakerVariantProvisionedConcurrencyUtilization": (
        "ServerlessProvisionedConcurrencyUtilization",
        "Maximum",
    ),
}
"""By PredefinedMetricType. DG endpoint-auto-scaling-policy, serverless-endpoints-autoscale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """A target tracking policy, as values."""

    metric: Metric
    statistic: str
    target_value: float
    zero_when_missing: bool
    out_cooldown_s: float = _COOLDOWN_S
    in_cooldown_s: float = _COOLDOWN_S
    can_scale_in: bool = True


def tracking_of(policy: ScalingPolicy) -> Tracking | None:
    """What a policy tracks; None for a metric that is not known here, or no value to aim at."""
    config = policy.configuration
    target_value = float(config["TargetValue"])
    if target_value <= 0:  # AWS's own least is 8.5e-109. API TargetTrackingScaling…Configuration
        return None
    predefined = config.get("PredefinedMetricSpecification")
    if predefined is not None:
        known = _PREDEFINED.get(predefined["PredefinedMetricType"])
        if known is None:
            return None
        endpoint, variant = names_of(policy.resource_id)
        dimensions = {"EndpointName": endpoint, "VariantName": variant}
        metric = Metric(namespace="AWS/SageMaker", name=known[0], dimensions=dimensions)
        statistic = known[1]
    else:
        custom = config.get("CustomizedMetricSpecification", {})
        if not {"MetricName", "Namespace", "Statistic"} <= custom.keys():
            return None
        dimensions = {each["Name"]: each["Value"] for each in custom.get("Dimensions", [])}
        metric = Metric(
            namespace=custom["Namespace"], name=custom["MetricName"], dimensions=dimensions
        )
        statistic = custom["Statistic"]
    return Tracking(
        metric=metric,
        statistic=statistic,
        target_value=target_value,
        zero_when_missing=predefined is not None,
        out_cooldown_s=config.get("ScaleOutCooldown", _COOLDOWN_S),
        in_cooldown_s=config.get("ScaleInCooldown", _COOLDOWN_S),
        can_scale_in=not config.get("DisableScaleIn", False),
    )


def names_of(resource_id: str) -> tuple[str, str]:
    """Endpoint and variant of `endpoint/NAME/variant/VARIANT`."""
    _, endpoint, _, variant = resource_id.split("/")
    return endpoint, variant


def decide(current: int, values: Sequence[float | None], tracking: Tracking) -> int:
    """The capacity that the policy asks for; `values` are those of the last minutes, newest last.

    None is a minute without a measurement.
    """
    target = tracking.target_value
    seen = [0.0 if each is None and tracking.zero_when_missing else each for each in values]
    out = [each for each in seen[-_PERIODS_OUT:] if each is not None]
    if len(out) == _PERIODS_OUT and min(out) > target:
        return math.ceil(current * out[-1] / target)
    low = [each for each in seen[-PERIODS_IN:] if each is not None]
    if tracking.can_scale_in and len(low) == PERIODS_IN and max(low) < target * _IN_BELOW:
        return max(1, math.ceil(current * max(low[-_PERIODS_OUT:]) / target))
    return current
