"""Threshold alarms of CloudWatch: from the last periods of a metric to OK or ALARM.

CloudWatch looks at each alarm on its own clock and acts; here an alarm is looked at
whenever somebody asks for it, over the metric data of that moment. What is not done:
actions (no topic hears of an alarm), a history of its states, metric math, anomaly
detection, and composite alarms, which stay as they were last set.

Source of the rules: CloudWatch User Guide, "Configuring how CloudWatch alarms treat
missing data", and its table for 3 out of 3.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from portside.local.delegated.metric_store import is_statistic

if TYPE_CHECKING:
    from portside.local.delegated.metric_store import Metric, MetricStore

_EXTRA_PERIODS: Final = 2
"""How many periods further back than asked it looks for data: 5 for 3 in that table."""


class AlarmState(StrEnum):
    """CloudWatch's words."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """TreatMissingData."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


_COMPARE: Final = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

_ONLY_GROW: Final = ("Sum", "Maximum", "SampleCount")
"""Statistics that rise while their period runs; a sum does where nothing below 0 is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdAlarm:
    """When a metric alarms: `datapoints_to_alarm` of `evaluation_periods` beyond the threshold."""

    metric: Metric
    statistic: str
    period_s: int
    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: Missing = Missing.MISSING
    unit: str | None = None

    @property
    def can_be_evaluated(self) -> bool:
        """Whether its threshold is a fixed one, of a statistic that can be told."""
        return self.comparison in _COMPARE and is_statistic(self.statistic)

    def breaches(self, value: float) -> bool:
        """Whether a value is beyond the threshold."""
        return bool(_COMPARE[self.comparison](value, self.threshold))


def evaluate(
    alarm: ThresholdAlarm, store: MetricStore, *, now_s: int, before: AlarmState
) -> AlarmState:
    """The state of an alarm now, over what is stored.

    A period that still runs counts only where its end cannot change the verdict: a maximum
    above the threshold will not come down again.
    """
    running_s = now_s - now_s % alarm.period_s
    asked = alarm.evaluation_periods + _EXTRA_PERIODS
    periods = store.periods(
        alarm.metric,
        start_s=running_s - asked * alarm.period_s,
        end_s=running_s + alarm.period_s,
        period_s=alarm.period_s,
        unit=alarm.unit,
    )
    values = [
        value
        for period in periods
        if (value := period.statistic(alarm.statistic)) is not None
        and (period.time_s < running_s or _is_final(alarm, value))
    ]
    return judge(alarm, values[-alarm.evaluation_periods :], before=before)


def judge(alarm: ThresholdAlarm, values: Sequence[float], *, before: AlarmState) -> AlarmState:
    """The state that the newest values lead to; periods up to those asked for are missing."""
    breaching = sum(map(alarm.breaches, values))
    missing = alarm.evaluation_periods - len(values)
    if breaching >= alarm.datapoints_to_alarm:
        return AlarmState.ALARM
    calm = len(values) - breaching
    if calm > alarm.evaluation_periods - alarm.datapoints_to_alarm:
        return AlarmState.OK
    match alarm.missing:
        case Missing.BREACHING:
            alarms = breaching + missing >= alarm.datapoints_to_alarm
            return AlarmState.ALARM if alarms else AlarmState.OK
        case Missing.NOT_BREACHING:
            return AlarmState.OK
        case Missing.IGNORE:
            return before
        case Missing.MISSING:
            if not values:
                return AlarmState.INSUFFICIENT_DATA
            return AlarmState.OK if calm else AlarmState.ALARM
        case _:
            assert_never(alarm.missing)


def _is_final(alarm: ThresholdAlarm, value: float) -> bool:
    if not alarm.breaches(value):
        return False
    upward = alarm.comparison.startswith("Greater")
    return alarm.statistic in _ONLY_GROW if upward else alarm.statistic == "Minimum"
