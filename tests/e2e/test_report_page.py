"""The report page as a browser shows it: wide and narrow, light and dark, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from portside.artifact.report.page import to_html
from tests.e2e.chromium import Chromium, browse
from tests.unit.artifact.report_values import (
    make_artifact,
    make_candidate,
    make_example,
    make_proof,
)

LONG = (
    "int8, per channel, with bert.encoder.layer.11.attention, bert.encoder.layer.10.output in fp32"
)

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
WIDTH = "document.documentElement.scrollWidth"
HIDDEN = """
[...document.querySelectorAll('body *')]
  .filter(one => !one.closest('svg') && one.scrollWidth > one.clientWidth + 1 && one.clientWidth)
  .map(one => one.tagName + '.' + one.className)
"""
"""Elements with more in them than they have room for."""
SPILT = """
[...document.querySelectorAll('svg text')].filter(text => {
  const box = text.getBBox(), view = text.ownerSVGElement.viewBox.baseVal
  const next = text.matches('.name') && text.nextElementSibling.getBBox()
  return box.x < -1 || box.x + box.width > (next ? next.x : view.width) + 1
}).map(text => text.textContent)
"""
"""Text of plots that runs out of them, or a name that runs into its figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    width: int
    theme: Literal["light", "dark"] = "light"
    on_paper: bool = False


LOOKS = [
    Look(width=1100),
    Look(width=1100, theme="dark"),
    Look(width=390),
    Look(width=800, on_paper=True),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with browse() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, and what does not fit: long names, many candidates, many members."""
    example = make_proof()
    long = make_candidate(LONG, verdict=example.candidates[1].verdict, reason=LONG * 3)
    members = tuple(f"{'deep/' * 30}part-{number}.onnx.data" for number in range(40))
    written = to_html(
        make_example(
            proof=replace(example, candidates=(*example.candidates, long)),
            artifact=make_artifact(members=members),
        )
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_bytes(written)
    return path


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_everything_has_room(browser: Chromium, report: Path, look: Look) -> None:
    page = browser.open(report, width=look.width, theme=look.theme, on_paper=look.on_paper)

    assert page.evaluate(WIDTH) == look.width
    assert page.evaluate(HIDDEN) == []
    assert page.evaluate(SPILT) == []


def test_nothing_is_complained_about_or_fetched(browser: Chromium, report: Path) -> None:
    browser.open(report, width=1100)

    assert browser.complaints == []
    assert browser.requests == [report.as_uri()]


def test_a_script_would_not_run(browser: Chromium, report: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.html"
    script = b"<script>document.title = 'taken'</script><img src='x.png'></main>"
    hostile.write_bytes(report.read_bytes().replace(b"</main>", script))

    page = browser.open(hostile, width=1100)

    assert page.evaluate("document.title") != "taken"
    assert any(
        "inline script" in said and "Content Security Policy" in said for said in browser.complaints
    )


def test_it_is_dark_where_the_reader_wants_it_dark_and_light_on_paper(
    browser: Chromium, report: Path
) -> None:
    seen = []
    for look in (LOOKS[0], LOOKS[1], Look(width=800, theme="dark", on_paper=True)):
        page = browser.open(report, width=look.width, theme=look.theme, on_paper=look.on_paper)
        seen.append(page.evaluate(BACKGROUND))

    assert seen == ["rgb(247, 246, 242)", "rgb(19, 23, 26)", "rgb(255, 255, 255)"]


def test_it_can_be_photographed(browser: Chromium, report: Path, tmp_path: Path) -> None:
    picture = tmp_path / "report.png"
    page = browser.open(report, width=390)

    page.screenshot(path=picture, full_page=True)

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 100_000  # an empty page of that size is a tenth of it
