"""Plots as values: `chart.html` writes them as SVG.

Across, everything is in percent of the plot's width, so that a plot is as wide as there is
room and its text stays as large as text is; down, it is in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

HEIGHT: Final = 150
_TOP: Final = 20
BASE: Final = 126
SLOTS: Final = 60
"""Of a minute each."""
_SLOT: Final = 100 / SLOTS
_MARKED_MINUTES: Final = 15
_SHORT: Final = 3
"""Values of a run that are drawn as dots too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One thing that was measured: its values by slot; `tone` is the class of its color."""

    name: str
    tone: str
    values: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A run of minutes with nothing missing between, in SVG's path syntax."""

    tone: str
    d: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A value in a run that is so short that its line alone would hardly be seen."""

    tone: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A value as an area that stands on the base, or on another bar."""

    tone: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hover:
    """A minute, and all of its values in words."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One plot. `grid` has heights and their labels, `clock` places and times of day."""

    title: str
    headline: str
    legend: list[tuple[str, str]]
    grid: list[tuple[float, str]]
    clock: list[tuple[float, str]]
    paths: list[Path]
    dots: list[Dot]
    bars: list[Bar]
    hovers: list[Hover]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a chart is drawn in: what it is called, when it starts, how values read.

    `least` is the value that the top stands for where all values are smaller.
    """

    title: str
    headline: str
    start: datetime
    words: Callable[[float], str]
    least: float = 0.0


def line_chart(frame: Frame, series: Sequence[Series]) -> Chart:
    """A line for each series, broken where a minute has no value."""
    top = ceiling(max((frame.least, *(value for one in series for value in one.values.values()))))
    paths, dots = list[Path](), list[Dot]()
    for one in series:
        for run in _runs(sorted(one.values)):
            places = [(_middle(slot), _height(one.values[slot], top)) for slot in run]
            if len(run) <= _SHORT:
                dots += [Dot(tone=one.tone, x=x, y=y) for x, y in places]
            if len(run) > 1:
                d = "M" + "L".join(f"{x:.2f} {y:.1f}" for x, y in places)
                paths.append(Path(tone=one.tone, d=d))
    return _chart(frame, series, top=top, paths=paths, dots=dots)


def bar_chart(frame: Frame, series: Sequence[Series]) -> Chart:
    """The series on top of each other, the first one lowest."""
    slots = sorted({slot for one in series for slot in one.values})
    sums = {slot: sum(one.values.get(slot, 0.0) for one in series) for slot in slots}
    top = ceiling(max((frame.least, *sums.values())))
    bars = list[Bar]()
    for slot in slots:
        below = 0.0
        for one in series:
            value = one.values.get(slot, 0.0)
            if value > 0:
                upper, lower = _height(below + value, top), _height(below, top)
                x, width = slot * _SLOT + 0.2 * _SLOT, 0.6 * _SLOT
                bars.append(
                    Bar(tone=one.tone, x=x, y=upper, width=width, height=max(1.0, lower - upper))
                )
                below += value
    return _chart(frame, series, top=top, bars=bars)


def ceiling(value: float) -> float:
    """The next 1, 2, 4 or 6 with zeros behind or before it: the half of each is as round."""
    if value <= 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(value))
    # The last is for what the logarithm of a power of ten rounds to.
    return next(step * decade for step in (1, 2, 4, 6, 10, 20) if step * decade >= value)


def _chart(
    frame: Frame,
    series: Sequence[Series],
    *,
    top: float,
    paths: Sequence[Path] = (),
    dots: Sequence[Dot] = (),
    bars: Sequence[Bar] = (),
) -> Chart:
    hovers = _hovers(frame, series)
    return Chart(
        title=frame.title,
        headline=frame.headline,
        legend=[(one.tone, one.name) for one in series],
        grid=[(_height(part * top, top), frame.words(part * top)) for part in (0.5, 1) if hovers],
        clock=_clock(frame.start),
        paths=list(paths),
        dots=list(dots),
        bars=list(bars),
        hovers=hovers,
    )


def _hovers(frame: Frame, series: Sequence[Series]) -> list[Hover]:
    hovers = []
    for slot in sorted({slot for one in series for slot in one.values}):
        told = [
            f"{one.name} {frame.words(one.values[slot])}" for one in series if slot in one.values
        ]
        time = (frame.start + timedelta(minutes=slot)).astimezone()
        text = " · ".join([f"{time:%H:%M}", *told])
        hovers.append(Hover(x=slot * _SLOT, width=_SLOT, text=text))
    return hovers


def _clock(start: datetime) -> list[tuple[float, str]]:
    """The quarters of an hour."""
    times = [(slot, (start + timedelta(minutes=slot)).astimezone()) for slot in range(SLOTS)]
    return [
        (slot * _SLOT, f"{time:%H:%M}") for slot, time in times if not time.minute % _MARKED_MINUTES
    ]


def _runs(slots: Sequence[int]) -> list[list[int]]:
    runs = list[list[int]]()
    for slot in slots:
        if runs and runs[-1][-1] == slot - 1:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return runs


def _middle(slot: int) -> float:
    return (slot + 0.5) * _SLOT


def _height(value: float, top: float) -> float:
    return BASE - (BASE - _TOP) * value / top
