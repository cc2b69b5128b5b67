"""moto's CloudWatch with metric data in a file, statistics of its own, and alarms that look.

To import this module is to import moto. moto keeps every datum as an object and looks at
all of them for each period asked for; here `MetricStore` answers. moto's alarms stay as
they were set; here they are evaluated before they are shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from moto.cloudwatch.exceptions import InvalidParameterValue, ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend, Dimension

from portside.local.delegated.alarm import AlarmState, Missing, ThresholdAlarm, evaluate
from portside.local.delegated.metric_store import STATISTICS, Datum, Metric, MetricStore, Period

_HOLD_S: Final = 60
"""How long a state that SetAlarmState set holds: CloudWatch looks at an alarm once a minute
(User Guide, "Evaluating an alarm"), and a roll-back tried out with it must see it."""

_UNCHECKED: Final = "Unchecked: Initial alarm creation"


class LocalCloudWatch(CloudWatchBackend):
    """The backend behind moto's CloudWatch operations."""

    def __init__(
        self, region_name: str, account_id: str, *, metrics: MetricStore, now_s: Callable[[], int]
    ) -> None:
        super().__init__(region_name, account_id)
        self._metrics = metrics
        self._now_s = now_s
        self._held_until_s: dict[str, int] = {}

    def put_metric_data(self, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        """PutMetricData."""
        for number, member in enumerate(metric_data, start=1):
            self._validate_parameters_put_metric_data(member, number)
        now_s = self._now_s()
        data = [each for member in metric_data for each in _data(namespace, member, now_s=now_s)]
        self._metrics.put(data, now_s=now_s)

    def get_metric_data(
        self,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampAscending",
    ) -> list[dict[str, Any]]:
        """GetMetricData, without metric math."""
        if start_time >= end_time:
            raise ValidationError("The parameter EndTime must be greater than StartTime.")
        return [
            self._metric_data(
                query, start_time, end_time, newest_first=scan_by == "TimestampDescending"
            )
            for query in queries
            if query.get("ReturnData", True)
        ]

    def get_metric_statistics(  # type: ignore[override]  # noqa: PLR0917  moto's; its objects are dicts
        self,
        namespace: str,
        metric_name: str,
        start_time: datetime,
        end_time: datetime,
        period: int,
        stats: list[str],
        dimensions: list[dict[str, str]],
        unit: str | None = None,
    ) -> list[dict[str, Any]]:
        """GetMetricStatistics, without extended statistics, which moto does not hand on."""
        if not stats:
            raise InvalidParameterValue(
                "ExtendedStatistics is not built in the local SageMaker; GetMetricData has them."
            )
        if start_time >= end_time:
            raise InvalidParameterValue(
                "The parameter StartTime must be less than the parameter EndTime."
            )
        found = self._periods(
            _metric(namespace, metric_name, dimensions),
            start_time,
            end_time,
            period_s=period,
            unit=unit,
        )
        return [
            {
                "Timestamp": _moment(each.time_s),
                "Unit": each.points[0].unit,
                **{name: each.statistic(name) for name in stats if name in STATISTICS},
            }
            for each in found
        ]

    def get_filtered_metrics(  # type: ignore[override]  # dicts are serialized as its objects are
        self, metric_name: str, namespace: str, dimensions: list[dict[str, str]]
    ) -> list[dict[str, Any]]:
        """ListMetrics, before it is cut into pages."""
        wanted = [(each["Name"], each.get("Value")) for each in dimensions]
        return [
            {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [
                    {"Name": name, "Value": value} for name, value in metric.dimensions.items()
                ],
            }
            for metric in self._metrics.metrics(namespace, metric_name, dimensions=wanted)
        ]

    def put_metric_alarm(self, *args: Any, **kwargs: Any) -> Alarm:  # noqa: ANN401  handed on
        """PutMetricAlarm: a new one knows nothing yet, a changed one keeps its state.

        Source: API Reference, PutMetricAlarm.
        """
        _check_alarm(kwargs)
        before = self.alarms.get(kwargs["name"])
        alarm = super().put_metric_alarm(*args, **kwargs)
        if before is None:
            alarm.state_value, alarm.state_reason = AlarmState.INSUFFICIENT_DATA, _UNCHECKED
        else:
            alarm.state_value, alarm.state_reason = before.state_value, before.state_reason
        return alarm

    def set_alarm_state(
        self, alarm_name: str, reason: str, reason_data: str, state_value: str
    ) -> None:
        """SetAlarmState: holds until CloudWatch would look again."""
        super().set_alarm_state(alarm_name, reason, reason_data, state_value)
        self._held_until_s[alarm_name] = self._now_s() + _HOLD_S

    def evaluate_alarms(self) -> None:
        """Bring every alarm to the state that its metric's data say now."""
        now_s = self._now_s()
        for name, alarm in self.alarms.items():
            definition = threshold_alarm(alarm)
            if definition is None or now_s < self._held_until_s.get(name, 0):
                continue
            before = AlarmState(alarm.state_value)
            state = evaluate(definition, self._metrics, now_s=now_s, before=before)
            if state is not before or alarm.state_reason == _UNCHECKED:
                alarm.update_state(_reason(definition, state), "{}", state)

    def _metric_data(
        self, query: dict[str, Any], start: datetime, end: datetime, *, newest_first: bool
    ) -> dict[str, Any]:
        if "MetricStat" not in query:
            raise ValidationError("Metric math is not built in the local SageMaker.")
        stat = query["MetricStat"]
        metric = _metric(
            stat["Metric"]["Namespace"],
            stat["Metric"]["MetricName"],
            stat["Metric"].get("Dimensions", []),
        )
        found = self._periods(
            metric, start, end, period_s=int(stat["Period"]), unit=stat.get("Unit")
        )
        try:
            values = [(each.time_s, each.statistic(stat["Stat"])) for each in found]
        except ValueError as error:
            raise ValidationError(str(error)) from error
        known = [(time_s, value) for time_s, value in values if value is not None]
        if newest_first:
            known.reverse()
        return {
            "Id": query["Id"],
            "Label": query.get("Label") or metric.name,
            "Timestamps": [_moment(time_s) for time_s, _ in known],
            "Values": [value for _, value in known],
            "StatusCode": "Complete",
        }

    def _periods(
        self, metric: Metric, start: datetime, end: datetime, *, period_s: int, unit: str | None
    ) -> Sequence[Period]:
        """From the whole minute before the start, or the whole period where that is shorter.

        Source: API Reference, GetMetricStatistics, StartTime.
        """
        if not _is_period(period_s):
            raise ValidationError("Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
        start_s, end_s = (round(each.replace(tzinfo=UTC).timestamp()) for each in (start, end))
        start_s -= start_s % min(period_s, 60)
        return self._metrics.periods(
            metric, start_s=start_s, end_s=end_s, period_s=period_s, unit=unit
        )


def _is_period(period_s: int) -> bool:
    """Source: API Reference, MetricStat, Period."""
    return period_s in {1, 5, 10, 20, 30} or (period_s > 0 and period_s % 60 == 0)


def _check_alarm(settings: dict[str, Any]) -> None:
    """What moto lets pass, and nothing could be done with later."""
    missing, period = settings.get("treat_missing_data"), settings.get("period")
    if missing and missing not in list(Missing):
        raise ValidationError(
            f"Option {missing} is not supported. Supported options for parameter"
            " TreatMissingData are breaching, notBreaching, ignore and missing."
        )
    if period is not None and not _is_period(int(period)):
        raise ValidationError("Period must be 10, 20, 30 or a multiple of 60.")
    if settings.get("rule") is None and not settings.get("evaluation_periods"):
        raise ValidationError("The parameter EvaluationPeriods is required.")


def threshold_alarm(alarm: Alarm) -> ThresholdAlarm | None:
    """moto's alarm as a value; None for what is not evaluated (see `alarm`)."""
    if alarm.rule is not None or alarm.comparison_operator is None:
        return None
    period, statistic = alarm.period, alarm.statistic or alarm.extended_statistic
    metric = None
    if alarm.metric_data_queries:
        queries = alarm.metric_data_queries
        stat = queries[0].metric_stat
        if len(queries) > 1 or stat is None:
            return None
        metric = Metric(
            namespace=stat.metric.namespace,
            name=stat.metric.metric_name,
            dimensions=_named(stat.metric.dimensions),
        )
        period, statistic = int(stat.period), stat.stat
    elif alarm.metric_name:
        dimensions = _named(alarm.dimensions)
        metric = Metric(namespace=alarm.namespace, name=alarm.metric_name, dimensions=dimensions)
    if metric is None or not statistic or not period or alarm.threshold is None:
        return None
    periods = int(alarm.evaluation_periods)
    definition = ThresholdAlarm(
        metric=metric,
        statistic=statistic,
        period_s=int(period),
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        evaluation_periods=periods,
        datapoints_to_alarm=int(alarm.datapoints_to_alarm or periods),
        missing=Missing(alarm.treat_missing_data or Missing.MISSING),
        unit=alarm.unit,
    )
    return definition if definition.can_be_evaluated else None


def _named(dimensions: Iterable[Dimension]) -> dict[str, str]:
    return {str(each.name): str(each.value) for each in dimensions}


def _data(namespace: str, member: dict[str, Any], *, now_s: int) -> Iterable[Datum]:
    """One member of MetricData as it is stored; a value that is given no time is of now."""
    metric = _metric(namespace, member["MetricName"], member.get("Dimensions", []))
    timestamp: datetime | None = member.get("Timestamp")
    time_s = now_s if timestamp is None else int(timestamp.replace(tzinfo=UTC).timestamp())
    unit = member.get("Unit") or "None"
    if stats := member.get("StatisticValues"):
        yield Datum(
            metric=metric,
            time_s=time_s,
            minimum=float(stats["Minimum"]),
            maximum=float(stats["Maximum"]),
            sum=float(stats["Sum"]),
            count=float(stats["SampleCount"]),
            unit=unit,
        )
        return
    values = member.get("Values") or [member.get("Value", 0.0)]
    counts = member.get("Counts") or [1.0] * len(values)
    for value, count in zip(values, counts, strict=True):
        if not math.isfinite(float(value)):
            name = member["MetricName"]
            raise InvalidParameterValue(f"The value {value} of {name} is not a finite number.")
        yield Datum.of(metric, float(value), time_s=time_s, count=float(count), unit=unit)


def _metric(namespace: str, name: str, dimensions: list[dict[str, str]]) -> Metric:
    named = {each["Name"]: each["Value"] for each in dimensions}
    return Metric(namespace=namespace, name=name, dimensions=named)


def _moment(time_s: int) -> datetime:
    """As moto has its times: UTC, and not saying so."""
    return datetime.fromtimestamp(time_s, UTC).replace(tzinfo=None)


def _reason(alarm: ThresholdAlarm, state: AlarmState) -> str:
    """Our words, after CloudWatch's."""
    if state is AlarmState.INSUFFICIENT_DATA:
        return "Insufficient Data"
    crossed = "crossed" if state is AlarmState.ALARM else "not crossed"
    return (
        f"Threshold {crossed}: {alarm.statistic} of {alarm.metric.name},"
        f" {alarm.comparison} {alarm.threshold}, {alarm.datapoints_to_alarm} out of"
        f" {alarm.evaluation_periods} periods of {alarm.period_s} s"
    )
