"""What CloudWatch measured of a variant in the last hour, as plots and as a table.

metrics ─▶ minutes ─▶ charts and rows
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from portside.aws.metrics import Metric, Point
from portside.console.chart import SLOTS, Chart, Frame, Series, bar_chart, line_chart

SPAN: Final = timedelta(hours=1)
Measured = Mapping[Metric, Sequence[Point]]
Which = tuple[str, str]
"""A metric's name and a statistic of it."""
Minutes = Mapping[Which, Mapping[int, float]]
"""The values by minute after the start."""

REQUESTS: Final = ("Invocations", "Sum")
CLIENT_ERRORS: Final = ("Invocation4XXErrors", "Sum")
SERVER_ERRORS: Final = ("Invocation5XXErrors", "Sum")
MODEL_ERRORS: Final = ("InvocationModelErrors", "Sum")
MODEL_P50: Final = ("ModelLatency", "p50")
MODEL_P99: Final = ("ModelLatency", "p99")
OVERHEAD_P50: Final = ("OverheadLatency", "p50")
OVERHEAD_P99: Final = ("OverheadLatency", "p99")
COLD_STARTS: Final = ("ModelSetupTime", "SampleCount")
SLOWEST_START: Final = ("ModelSetupTime", "Maximum")
COLUMNS: Final = {
    "requests": REQUESTS,
    "4xx": CLIENT_ERRORS,
    "5xx": SERVER_ERRORS,
    "model errors": MODEL_ERRORS,
    "model p50": MODEL_P50,
    "model p99": MODEL_P99,
    "overhead p50": OVERHEAD_P50,
    "overhead p99": OVERHEAD_P99,
    "cold starts": COLD_STARTS,
    "slowest start": SLOWEST_START,
}
"""All that is asked for, under the heads of the table. Names, and microseconds as the unit of
times, are those of SageMaker's developer guide, "Amazon SageMaker AI metrics in CloudWatch"."""
_FAILURES: Final = (CLIENT_ERRORS, SERVER_ERRORS)
_BEATS: Final = 20
"""Of a pulse: three minutes each."""
_TIMES: Final = {"ModelLatency", "OverheadLatency", "ModelSetupTime"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One minute in words, in the order of `COLUMNS`."""

    time: datetime
    cells: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPlots:
    """The plots of one variant; no charts where nothing was measured."""

    variant: str
    charts: list[Chart]
    rows: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The requests of an endpoint in an hour; `heights` are parts (0 to 1) of the most."""

    requests: float
    failed: float
    heights: list[float]


def span_until(now: datetime) -> tuple[datetime, datetime]:
    """The last hour, in whole minutes: CloudWatch tells of those."""
    end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return end - SPAN, end


def metrics_of(endpoint: str, variant: str) -> list[Metric]:
    """All that is drawn of one variant."""
    return [_metric(endpoint, variant, which) for which in COLUMNS.values()]


def view_plots(
    measured: Measured, *, endpoint: str, variant: str, start: datetime, has_cold_starts: bool
) -> VariantPlots:
    """The plots of a variant, of one hour from `start` on."""
    minutes = {
        which: _slots(measured.get(_metric(endpoint, variant, which), ()), start)
        for which in COLUMNS.values()
    }
    if not any(minutes.values()):
        return VariantPlots(variant=variant, charts=[], rows=[])
    return VariantPlots(
        variant=variant,
        charts=[
            _requests(minutes, start),
            _latency("Model latency", minutes, (MODEL_P50, MODEL_P99), start=start),
            _latency("Overhead", minutes, (OVERHEAD_P50, OVERHEAD_P99), start=start),
            *([_cold_starts(minutes, start)] if has_cold_starts else []),
        ],
        rows=_rows(minutes, start),
    )


def pulse_metrics_of(endpoint: str, variant: str) -> list[Metric]:
    """What the pulse of an endpoint needs of one variant."""
    return [_metric(endpoint, variant, which) for which in (REQUESTS, *_FAILURES)]


def view_pulse(measured: Measured, *, endpoint: str, start: datetime) -> Pulse | None:
    """The requests of all variants together, or None where none were measured."""
    sums, failed = [0.0] * _BEATS, 0.0
    for metric, points in measured.items():
        if metric.endpoint != endpoint:
            continue
        for slot, value in _slots(points, start).items():
            if (metric.name, metric.statistic) == REQUESTS:
                sums[slot * _BEATS // SLOTS] += value
            else:
                failed += value
    most = max(sums)
    if not most:
        return None
    return Pulse(requests=sum(sums), failed=failed, heights=[one / most for one in sums])


def count(number: float) -> str:
    """How many, for people: `1,200`."""
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def duration(microseconds: float) -> str:
    """How long, for people: `0.84 ms`, `12.3 ms`, `840 ms`, `1.24 s`."""
    milliseconds = microseconds / 1000
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.3g} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"


def _requests(minutes: Minutes, start: datetime) -> Chart:
    """Errors are counted among the invocations, so what is drawn as answered is the rest."""
    client, server = minutes[CLIENT_ERRORS], minutes[SERVER_ERRORS]
    answered = {
        slot: max(0.0, value - client.get(slot, 0.0) - server.get(slot, 0.0))
        for slot, value in minutes[REQUESTS].items()
    }
    total = sum(minutes[REQUESTS].values())
    errors = sum(client.values()) + sum(server.values())
    headline = f"{count(total)} request{'' if total == 1 else 's'}, {count(errors)} failed"
    return bar_chart(
        Frame(title="Requests a minute", headline=headline, start=start, words=count, least=2),
        [
            Series(name="answered", tone="first", values=answered),
            Series(name="4xx", tone="warning", values=_nonzero(client)),
            Series(name="5xx", tone="error", values=_nonzero(server)),
        ],
    )


def _latency(title: str, minutes: Minutes, both: tuple[Which, Which], *, start: datetime) -> Chart:
    p50, p99 = (minutes[which] for which in both)
    headline = "none in this hour"
    if p50 and p99:
        headline = f"latest {duration(p50[max(p50)])}, p99 {duration(p99[max(p99)])}"
    return line_chart(
        Frame(title=title, headline=headline, start=start, words=duration),
        [
            Series(name="p50", tone="first", values=p50),
            Series(name="p99", tone="second", values=p99),
        ],
    )


def _cold_starts(minutes: Minutes, start: datetime) -> Chart:
    slowest, starts = minutes[SLOWEST_START], sum(minutes[COLD_STARTS].values())
    headline = "none in this hour"
    if slowest:
        headline = f"{count(starts)}, the slowest {duration(max(slowest.values()))}"
    return bar_chart(
        Frame(title="Cold starts", headline=headline, start=start, words=duration),
        [Series(name="slowest of a minute", tone="second", values=slowest)],
    )


def _rows(minutes: Minutes, start: datetime) -> list[Row]:
    """A row for each minute in which something was measured, newest first."""
    slots = sorted({slot for values in minutes.values() for slot in values}, reverse=True)
    return [
        Row(
            time=(start + timedelta(minutes=slot)).astimezone(),
            cells=[_cell(which, minutes[which].get(slot)) for which in COLUMNS.values()],
        )
        for slot in slots
    ]


def _cell(which: Which, value: float | None) -> str:
    if value is None:
        return ""
    name, statistic = which
    return duration(value) if name in _TIMES and statistic != "SampleCount" else count(value)


def _nonzero(values: Mapping[int, float]) -> Mapping[int, float]:
    return {slot: value for slot, value in values.items() if value}


def _slots(points: Sequence[Point], start: datetime) -> dict[int, float]:
    placed = {int((point.time - start).total_seconds() // 60): point.value for point in points}
    return {slot: value for slot, value in placed.items() if 0 <= slot < SLOTS}


def _metric(endpoint: str, variant: str, which: Which) -> Metric:
    name, statistic = which
    return Metric(endpoint=endpoint, variant=variant, name=name, statistic=statistic)
