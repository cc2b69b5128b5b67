"""The console in a browser: what there is to see, a request that is tried, and no script at all."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.chromium import PROGRAM, Page, browse
from tests.e2e.conftest import ROOT, free_port, new_portside

HOSTILE = "<img src=x onerror=document.title='owned'> Ada Lovelace in London"
WORDS = "document.body.innerText"
WIDTH = "document.documentElement.scrollWidth"
LINES = "document.querySelectorAll('.lines p').length"
MARKED = "[...document.querySelectorAll('mark')].map(mark => mark.textContent)"
CHARTS = "[...document.querySelectorAll('.chart [role=img]')].map(chart => chart.ariaLabel)"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
UNNAMED = """
[...document.querySelectorAll('input:not([type=hidden]), textarea, select')]
  .filter(field => !field.labels.length && !field.ariaLabel).map(field => field.outerHTML)
"""
"""Fields that no label names."""

with_chromium = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, rampart_model: Path) -> Iterator[str]:
    """The address of a console with the example deployed."""
    folder = tmp_path_factory.mktemp("console")
    shutil.copytree(rampart_model, folder / "ner" / "model")
    shutil.copy(ROOT / "examples" / "ner" / "portside.toml", folder / "ner")
    portside = new_portside(folder / "local")
    with ExitStack() as stack:
        stack.callback(portside, "local", "stop")
        portside("deploy", folder / "ner")
        url = f"http://127.0.0.1:{free_port()}"
        process = subprocess.Popen(
            [sys.executable, "-m", "portside", "console", "--port", url.rpartition(":")[2]],
            env=portside.environment,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait, timeout=10)
        stack.callback(process.terminate)
        wait_until(lambda: answers(url))
        yield url


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browse(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@with_chromium
def test_from_the_list_to_an_answer_and_its_line_in_the_log(console: str, page: Page) -> None:
    page.open(console, width=1280)
    assert page.evaluate("document.querySelector('.pill').textContent") == "InService"
    page.click(".endpoints a", leads_away=True)
    assert page.evaluate("document.querySelector('h1').textContent") == "ner"
    before = page.evaluate(LINES)

    page.type_into("#text", "Grace Hopper was born in Manhattan.")
    page.click("#try button.main")
    page.wait_for("document.querySelector('mark')")

    assert page.evaluate(MARKED) == ["Grace GIVEN_NAME", "Hopper SURNAME", "Manhattan CITY"]
    assert "AllTraffic" in page.evaluate("document.querySelector('.answer dl').textContent")
    page.wait_for(f"{LINES} > {before}")
    assert "status=200" in page.evaluate("document.querySelector('.lines p:last-child').innerText")
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(console)] == []


@with_chromium
def test_the_models_own_words_about_a_wrong_body(console: str, page: Page) -> None:
    page.open(f"{console}/endpoints/ner", width=1280)
    page.click("#any-body summary")
    page.type_into("#body", '{"words": 1}')
    page.click("#any-body button")
    page.wait_for("document.querySelector('.answer.bad')")

    shown = page.evaluate("document.querySelector('.answer').textContent")
    assert "The model answered 400" in shown
    assert "got an object with `words`" in shown


@with_chromium
def test_requests_are_plotted(console: str, page: Page) -> None:
    invoke(console)
    wait_until(lambda: "Requests a minute" in read(f"{console}/endpoints/ner/plots"))
    page.open(f"{console}/endpoints/ner", width=1280)

    charts = dict(label.split(": ") for label in page.evaluate(CHARTS))
    assert list(charts) == ["Requests a minute", "Model latency", "Overhead", "Cold starts"]
    assert "request" in charts["Requests a minute"]
    assert charts["Model latency"].startswith("latest ")
    assert page.evaluate("document.querySelectorAll('.chart .bar.first').length") > 0


@with_chromium
def test_what_is_open_and_focused_stays_so_when_a_part_is_fetched_anew(
    console: str, page: Page
) -> None:
    invoke(console)
    page.open(f"{console}/endpoints/ner", width=1280)
    page.click("#plots summary")
    page.evaluate("refresh(document.querySelector('#plots [data-from]'))")
    page.wait_for("document.querySelector('#plots [data-from]').last")

    assert page.evaluate("document.querySelector('#plots details').open")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


@with_chromium
def test_the_log_is_narrowed_without_a_reload(console: str, page: Page) -> None:
    page.open(f"{console}/endpoints/ner", width=1280)
    page.type_into("#log input[type=search]", "listening")
    page.click("#log .chosen button")
    page.wait_for(f"{LINES} === 1")

    assert "listening" in page.evaluate("document.querySelector('.lines').textContent")
    assert page.evaluate("location.search") == "?stream=&filter=listening"


@with_chromium
def test_everything_is_there_without_scripts(console: str, page: Page) -> None:
    page.open(f"{console}/endpoints/ner?filter=listening", width=1280, scripts=False)
    read = page.evaluate(WORDS)
    assert "InService" in read
    assert "serverless · 2048 MB · up to 5 at once" in read
    assert "INFO listening" in read
    assert "INFO ready" not in read
    assert "follow" not in read

    page.click("#try button.main", leads_away=True)

    assert "Babbage SURNAME" in page.evaluate(WORDS)
    assert page.complaints == []


@with_chromium
def test_what_a_text_holds_never_runs(console: str, page: Page) -> None:
    page.open(f"{console}/endpoints/ner", width=1280)
    page.type_into("#text", HOSTILE)
    page.click("#try button.main")
    page.wait_for("document.querySelector('mark')")

    assert "onerror=" in page.evaluate("document.querySelector('.marked').textContent")
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.title") == "ner · Portside"


@with_chromium
def test_a_script_in_the_page_would_not_run(console: str, page: Page) -> None:
    page.open(f"{console}/endpoints/ner", width=1280)
    page.evaluate(f"document.querySelector('main').innerHTML = {HOSTILE!r}")
    page.wait_for("document.querySelector('img').complete")

    assert page.evaluate("document.title") == "ner · Portside"
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


@with_chromium
@pytest.mark.parametrize("path", ["/", "/endpoints/ner", "/endpoints/none"])
def test_it_fits_a_phone_and_every_field_has_a_name(console: str, page: Page, path: str) -> None:
    page.open(f"{console}{path}", width=400)

    assert page.evaluate(WIDTH) == 400
    assert page.evaluate(UNNAMED) == []


@with_chromium
def test_it_is_dark_where_the_reader_wants_it(console: str, page: Page) -> None:
    page.open(console, width=1280)
    light = page.evaluate(BACKGROUND)
    page.open(console, width=1280, theme="dark")

    assert page.evaluate(BACKGROUND) != light


def test_forms_of_other_sites_are_refused(console: str) -> None:
    form = urllib.parse.urlencode({"text": "x", "token": "guessed"}).encode()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{console}/endpoints/ner/try", form, timeout=10)
    request = urllib.request.Request(console, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=10)


def invoke(console: str) -> None:
    """Try a text as a browser without scripts does."""
    token = re.search(r'name="token" value="([^"]+)"', read(f"{console}/endpoints/ner"))
    assert token is not None
    form = urllib.parse.urlencode({"text": "Ada in London", "token": token[1]}).encode()
    urllib.request.urlopen(f"{console}/endpoints/ner/try", form, timeout=30).close()


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read().decode()


def answers(url: str) -> bool:
    try:
        return bool(read(url))
    except urllib.error.URLError:
        return False


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, "not so after 30 s"
        time.sleep(0.1)
