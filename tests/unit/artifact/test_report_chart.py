from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.artifact.report.chart import MOST_TICKS, WIDTH, Mark, Spread, Tone, bars, dots, ridges
from portside.artifact.report.markup import Markup, join, tag

FIGURES = st.floats(0, 1e9, allow_nan=False)
LATENCIES = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=50).map(sorted)


def places(drawn: Markup) -> list[float]:
    """Where on the horizontal axis something is drawn."""
    marks = re.findall(r'\b(?:x|cx|x1|x2)="([^"]+)"', drawn)
    outlines = re.findall(r"([-\d.e+naif]+),[-\d.]+", "".join(re.findall(r' d="([^"]+)"', drawn)))
    return [float(place) for place in (*marks, *outlines)]


def make_mark(value: float, name: str = "int8") -> Mark:
    return Mark(name=name, tone=Tone.CHOSEN, value=value, text=f"{value:g}")


def make_spread(latencies_ms: list[float]) -> Spread:
    return Spread(
        name="int8",
        tone=Tone.CHOSEN,
        latencies_ms=tuple(latencies_ms),
        p50_ms=latencies_ms[len(latencies_ms) // 2],
        p99_ms=latencies_ms[-1],
        text="",
    )


@given(st.lists(FIGURES, min_size=1, max_size=9))
def test_bars_are_as_long_as_their_figures(values: list[float]):
    drawn = bars("size", [make_mark(value) for value in values])
    lengths = [float(w) for w in re.findall(r'width="([^"]+)" height="8" rx="4" class="ch', drawn)]

    assert len(lengths) == len(values)
    assert all(0 < length <= WIDTH for length in lengths)
    for value, length in zip(values, lengths, strict=True):
        if value == max(values) > 0:
            assert length == WIDTH


@given(st.lists(st.floats(-1, 1, allow_nan=False), min_size=1, max_size=9), st.floats(0, 1))
def test_dots_lie_on_their_side_of_the_limit(values: list[float], limit: float):
    drawn = dots("agreement", [make_mark(value) for value in values], limit=limit, limit_text="")
    line = re.search(r'<line x1="([^"]+)"[^>]*class="limit"', drawn)
    assert line is not None

    for value, place in zip(values, re.findall(r'cx="([^"]+)"', drawn), strict=True):
        if value < limit:
            assert float(place) <= float(line[1])
        else:
            assert float(place) >= float(line[1])


@given(st.lists(LATENCIES, min_size=1, max_size=4))
def test_ridges_stay_within_the_picture(latencies: list[list[float]]):
    drawn = ridges("latency", [make_spread(each) for each in latencies])

    assert drawn.count("<path") == len(latencies)
    assert drawn.count('class="tick"') <= MOST_TICKS
    assert all(-1e-6 <= place <= WIDTH + 1e-6 for place in places(drawn))


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ([2.5, 4.5], ["3 ms", "4 ms"]),
        ([0.9, 30.0], ["1 ms", "2 ms", "5 ms", "10 ms", "20 ms"]),
        ([0.15, 300.0], ["1 ms", "10 ms", "100 ms"]),
    ],
)
def test_an_axis_has_as_many_ticks_as_can_be_read(latencies: list[float], expected: list[str]):
    drawn = ridges("latency", [make_spread(latencies)])

    assert re.findall(r'class="tick">([^<]+)<', drawn) == expected


def test_a_figure_that_is_none_has_no_dot():
    marks = [make_mark(0.9), make_mark(float("nan"))]

    assert dots("agreement", marks, limit=0.995, limit_text="gate").count("<circle") == 1


def test_a_plot_of_many_latencies_is_small():
    drawn = ridges("latency", [make_spread([float(value) for value in range(1, 100_000)])])

    assert len(drawn) < 4_000


def test_long_names_are_cut():
    drawn = bars("size", [make_mark(1.0, "int8, per channel, with everything but one in fp32")])

    assert "one in fp32" not in drawn
    assert "…" in drawn


@given(st.text())
def test_text_cannot_become_markup(text: str):
    shown = tag("p", text, title=text)

    assert shown.count("<") == shown.count(">") == 2
    assert shown.partition(">")[0].count('"') == 2
    assert shown.replace("\xa0", "").isprintable()


def test_markup_is_kept():
    assert join("a<b", tag("br"), tag("i", "c")) == "a&lt;b<br><i>c</i>"
    assert tag("line", x1=1.0, stroke_width=0.333, class_="a") == (
        '<line x1="1" stroke-width="0.33" class="a"></line>'
    )
