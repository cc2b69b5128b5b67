"""Plots as values."""

from __future__ import annotations

import pytest

from portside.console.chart import BASE, Chart, Frame, Series, bar_chart, ceiling, line_chart
from tests.unit.console.console_fakes import NOW


def make_frame(*, least: float = 0.0) -> Frame:
    return Frame(title="t", headline="h", start=NOW, words=lambda value: f"{value:g}", least=least)


def make_series(values: dict[int, float], *, name: str = "p50") -> Series:
    return Series(name=name, tone="first", values=values)


def labels(chart: Chart) -> list[str]:
    return [label for _, label in chart.grid]


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (0.03, 0.04), (1, 1), (1.1, 2), (3, 4), (4.1, 6), (7, 10), (1000, 1000), (1001, 2000)],
)
def test_the_top_is_round(value: float, top: float) -> None:
    assert ceiling(value) == pytest.approx(top)


def test_no_top_is_too_low() -> None:
    values = [10**power * step for power in range(-6, 12) for step in (1, 3, 9.99)]

    assert [value for value in values if ceiling(value) < value] == []


def test_lines_break_where_minutes_are_missing() -> None:
    values = {0: 1.0, 1: 2.0, 5: 2.0, 7: 1.0, 8: 1.0, 9: 1.0, 10: 1.0}
    chart = line_chart(make_frame(), [make_series(values)])

    assert [path.d.count("L") for path in chart.paths] == [1, 3]


def test_what_is_short_has_dots() -> None:
    values = {0: 1.0, 1: 2.0, 5: 2.0, 7: 1.0, 8: 1.0, 9: 1.0, 10: 1.0}
    chart = line_chart(make_frame(), [make_series(values)])

    assert [round(dot.x * 60 / 100 - 0.5) for dot in chart.dots] == [0, 1, 5]
    assert [dot.y for dot in chart.dots] == [73, 20, 20]


def test_a_line_goes_from_the_base_to_the_top() -> None:
    (path,) = line_chart(make_frame(), [make_series({0: 0, 1: 10})]).paths

    assert path.d == f"M0.83 {BASE}.0L2.50 20.0"


def test_bars_stand_on_each_other() -> None:
    lower, upper = make_series({3: 6}, name="answered"), make_series({3: 4}, name="4xx")
    first, second = bar_chart(make_frame(), [lower, upper]).bars

    assert first.y + first.height == pytest.approx(BASE)
    assert second.y + second.height == pytest.approx(first.y)
    assert second.y == pytest.approx(20)


def test_a_small_bar_is_still_seen() -> None:
    bars = bar_chart(make_frame(), [make_series({0: 100_000, 1: 1})]).bars

    assert [bar.height >= 1 for bar in bars] == [True, True]


def test_every_minute_tells_its_values() -> None:
    chart = line_chart(make_frame(), [make_series({4: 1}), make_series({4: 3, 5: 9}, name="p99")])
    told = [hover.text.partition(" · ")[2] for hover in chart.hovers]

    assert told == ["p50 1 · p99 3", "p99 9"]


def test_the_scale() -> None:
    assert labels(line_chart(make_frame(), [make_series({0: 7})])) == ["5", "10"]
    assert labels(bar_chart(make_frame(least=2), [make_series({0: 1})])) == ["1", "2"]
    assert labels(bar_chart(make_frame(), [make_series({})])) == []


def test_the_clock_shows_quarters_of_an_hour() -> None:
    times = [time for _, time in line_chart(make_frame(), []).clock]

    assert [time[-2:] for time in times] == ["15", "30", "45", "00"]
