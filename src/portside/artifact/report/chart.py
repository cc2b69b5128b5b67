"""Plots as inline SVG, drawn for a column as narrow as a phone and scaled up from there.

    bars     one figure of each form, from nothing
    dots     one figure of each form, beside a limit
    ridges   how the latencies of each form are spread, on a logarithmic axis

Colors come from the page: what stands for a form has its tone as its class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from portside.artifact.report.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH: Final = 360
"""Of each plot; about what a phone has, so that there a letter is as large as drawn."""
EDGE: Final = 6
"""Left free on both sides, for what is drawn around a value."""

ROW: Final = 42
"""From one form to the next where a line of text stands above what is drawn."""
RIDGE_ROW: Final = 74
"""The same where a ridge stands below that line, of which `RIDGE_HEIGHT` is its own."""
RIDGE_HEIGHT: Final = 40
AXIS: Final = 22
"""For the text of an axis."""

POINTS: Final = 96
"""Of the outline of a ridge; more cannot be seen at this width."""
SAMPLES: Final = 400
"""Of a ridge, at most: evenly from the sorted latencies, which keeps the shape."""
NARROWEST: Final = 0.02
"""The least bandwidth, in logarithms (2 %): equal latencies would have none."""

MOST_TICKS: Final = 6
TICK_DIGITS: Final = (range(1, 10), (1, 2, 5), (1,))
"""From a short axis to one of many decades."""

LEAST_MS: Final = 0.001
"""Where a logarithmic axis of latencies begins at the latest: nothing answers in less."""

NAME_LENGTH: Final = 42
"""Letters of a form's name that fit beside its figure, in a wide font too."""


class Tone(StrEnum):
    """What became of a form; the page has a color for each."""

    ORIGINAL = "original"
    CHOSEN = "chosen"
    REFUSED = "refused"
    SPARE = "spare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One form's figure: `value` is drawn, `text` is written."""

    name: str
    tone: Tone
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One form's latencies, sorted, and what is written about them."""

    name: str
    tone: Tone
    latencies_ms: tuple[float, ...]
    p50_ms: float
    p99_ms: float
    text: str


def bars(label: str, marks: Sequence[Mark]) -> Markup:
    """A bar for each mark, the longest as long as there is room."""
    most = max((mark.value for mark in marks), default=0.0)
    drawn = []
    for row, mark in enumerate(marks):
        y = row * ROW
        length = WIDTH * max(mark.value / (most or 1.0), 0.01)
        drawn += [
            *_caption(mark.name, mark.text, y=y + 14),
            tag("rect", x=0, y=y + 21, width=WIDTH, height=8, rx=4, class_="track"),
            tag("rect", x=0, y=y + 21, width=length, height=8, rx=4, class_=mark.tone),
        ]
    return _svg(label, len(marks) * ROW, *drawn)


def dots(label: str, marks: Sequence[Mark], *, limit: float, limit_text: str) -> Markup:
    """A dot for each mark, and a line at `limit`; what is left of it did not pass."""
    values = [*(mark.value for mark in marks if math.isfinite(mark.value)), limit]
    margin = 0.1 * (max(values) - min(values)) or 0.01 * abs(limit) or 1.0
    x = _scale(min(values) - margin, max(values) + margin)
    height = AXIS + len(marks) * ROW
    middle = x(limit)
    drawn = [
        tag("rect", x=0, y=AXIS, width=middle, height=height - AXIS, class_="beyond"),
        tag("line", x1=middle, y1=AXIS, x2=middle, y2=height, class_="limit"),
        _text(limit_text, x=_within(middle), y=14, anchor="middle", class_="limit"),
    ]
    for row, mark in enumerate(marks):
        y = AXIS + row * ROW
        drawn += [
            *_caption(mark.name, mark.text, y=y + 16, inset=EDGE),
            tag("line", x1=EDGE, y1=y + 28, x2=WIDTH - EDGE, y2=y + 28, class_="rail"),
        ]
        if math.isfinite(mark.value):
            drawn.append(tag("circle", cx=x(mark.value), cy=y + 28, r=5.5, class_=mark.tone))
    return _svg(label, height, *drawn)


def ridges(label: str, spreads: Sequence[Spread]) -> Markup:
    """The density of each form's latencies, with a dot at p50 and a stroke at p99."""
    logs = [list(map(_log, _thinned(one.latencies_ms))) for one in spreads]
    low, high = min(map(min, logs)), max(map(max, logs))
    margin = max(0.06 * (high - low), 3 * NARROWEST)
    x = _scale(low - margin, high + margin)
    bottom = len(spreads) * RIDGE_ROW
    drawn = [mark for tick in _ticks(low, high) for mark in _gridline(tick, x, bottom)]
    for row, (one, values) in enumerate(zip(spreads, logs, strict=True)):
        base = (row + 1) * RIDGE_ROW - 8
        p50, p99 = x(_log(one.p50_ms)), x(_log(one.p99_ms))
        drawn += [
            tag("path", d=_hill(values, margin, x=x, base=base), class_=f"ridge {one.tone}"),
            *_caption(one.name, one.text, y=row * RIDGE_ROW + 16),
            tag("line", x1=p50, y1=base, x2=p99, y2=base, class_=f"span {one.tone}"),
            tag("line", x1=p99, y1=base - 6, x2=p99, y2=base + 6, class_=f"span {one.tone}"),
            tag("circle", cx=p50, cy=base, r=4.5, class_=one.tone),
        ]
    return _svg(label, bottom + AXIS, *drawn)


def _hill(
    values: Sequence[float], margin: float, *, x: Callable[[float], float], base: float
) -> str:
    """The path of a kernel density estimate (Gaussian, Silverman's bandwidth), as high as fits."""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    width = max(1.06 * deviation * len(values) ** -0.2, NARROWEST)
    low, high = min(values) - margin, max(values) + margin
    places = [low + (high - low) * step / (POINTS - 1) for step in range(POINTS)]
    heights = [
        sum(math.exp(-(((place - value) / width) ** 2) / 2) for value in values) for place in places
    ]
    scale = RIDGE_HEIGHT / max(heights)
    line = " ".join(
        f"{x(place):.1f},{base - scale * height:.1f}"
        for place, height in zip(places, heights, strict=True)
    )
    return f"M{x(low):.1f},{base:.1f} L{line} L{x(high):.1f},{base:.1f} Z"


def _log(latency_ms: float) -> float:
    return math.log(max(latency_ms, LEAST_MS))


def _thinned(latencies_ms: Sequence[float]) -> list[float]:
    """At most `SAMPLES` of them, the first and the last among them."""
    count = len(latencies_ms)
    if count <= SAMPLES:
        return list(latencies_ms)
    return [latencies_ms[round(step * (count - 1) / (SAMPLES - 1))] for step in range(SAMPLES)]


def _ticks(low: float, high: float) -> list[float]:
    """Round values that lie between two logarithms, as many as can be read."""
    exponents = range(math.floor(low / math.log(10)), math.ceil(high / math.log(10)) + 1)
    ticks: list[float] = []
    for digits in TICK_DIGITS:
        values = [digit * 10.0**exponent for exponent in exponents for digit in digits]
        ticks = [value for value in values if low <= math.log(value) <= high]
        if len(ticks) <= MOST_TICKS:
            return ticks
    return ticks[:: math.ceil(len(ticks) / MOST_TICKS)]


def _gridline(tick: float, x: Callable[[float], float], bottom: float) -> tuple[Markup, Markup]:
    place = x(math.log(tick))
    return (
        tag("line", x1=place, y1=18, x2=place, y2=bottom, class_="grid"),
        _text(f"{tick:g} ms", x=place, y=bottom + 16, anchor="middle", class_="tick"),
    )


def _scale(low: float, high: float) -> Callable[[float], float]:
    return lambda value: EDGE + (WIDTH - 2 * EDGE) * (value - low) / (high - low)


def _within(place: float) -> float:
    """Where a short text has its middle, so that both its ends can be seen."""
    return min(max(place, 60), WIDTH - 60)


def _caption(name: str, text: str, *, y: float, inset: float = 0) -> tuple[Markup, Markup]:
    short = name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
    return (
        _text(short, x=inset, y=y, anchor="start", class_="name"),
        _text(text, x=WIDTH - inset, y=y, anchor="end", class_="figure"),
    )


def _text(text: str, *, x: float, y: float, anchor: str, class_: str) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _svg(label: str, height: float, *drawn: Markup) -> Markup:
    return tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {height:g}", role="img", aria_label=label)
