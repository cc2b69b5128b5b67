"""What Application Auto Scaling was told of SageMaker's variants, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalableTarget:
    """RegisterScalableTarget: within which bounds a capacity may be moved.

    `resource_id` is `endpoint/NAME/variant/VARIANT`, `dimension` such as
    `sagemaker:variant:DesiredInstanceCount`. What is suspended is not to be done.
    """

    resource_id: str
    dimension: str
    min_capacity: int
    max_capacity: int
    scale_in_suspended: bool = False
    scale_out_suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """PutScalingPolicy: `kind` is `TargetTrackingScaling` or `StepScaling`.

    `configuration` has AWS's own members (TargetValue, PredefinedMetricSpecification,
    ScaleInCooldown and so on).
    """

    name: str
    resource_id: str
    dimension: str
    kind: str
    configuration: Mapping[str, Any]
