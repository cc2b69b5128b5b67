"""CloudWatch: what SageMaker measured of an endpoint's variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from portside.aws.session import Session, explained

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

NAMESPACE: Final = "AWS/SageMaker"
_MOST_QUERIES: Final = 500
"""Of one call. API Reference of CloudWatch, GetMetricData."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One statistic (`Sum`, `Maximum`, `SampleCount`, `p99`, …) of a metric of a variant."""

    endpoint: str
    variant: str
    name: str
    statistic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The statistic over one period, from `time` on, in the metric's own unit."""

    time: datetime
    value: float


def read(
    session: Session,
    metrics: Sequence[Metric],
    *,
    start: datetime,
    end: datetime,
    period_s: int = 60,
) -> dict[Metric, list[Point]]:
    """What was measured of each metric, oldest first; nothing of a period without a request."""
    found: dict[Metric, list[Point]] = {metric: [] for metric in metrics}
    with explained("cloudwatch", "GetMetricData"):
        for first in range(0, len(metrics), _MOST_QUERIES):
            asked = metrics[first : first + _MOST_QUERIES]
            named = {f"m{number}": metric for number, metric in enumerate(asked)}
            pages = session.cloudwatch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=[_query(key, named[key], period_s=period_s) for key in named],
                StartTime=start,
                EndTime=end,
                ScanBy="TimestampAscending",
            )
            for page in pages:
                for series in page["MetricDataResults"]:
                    found[named[series["Id"]]] += [
                        Point(time=time, value=value)
                        for time, value in zip(series["Timestamps"], series["Values"], strict=True)
                    ]
    return found


def _query(key: str, metric: Metric, *, period_s: int) -> MetricDataQueryTypeDef:
    return {
        "Id": key,
        "MetricStat": {
            "Metric": {
                "Namespace": NAMESPACE,
                "MetricName": metric.name,
                "Dimensions": [
                    {"Name": "EndpointName", "Value": metric.endpoint},
                    {"Name": "VariantName", "Value": metric.variant},
                ],
            },
            "Period": period_s,
            "Stat": metric.statistic,
        },
    }
