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
from playwright.sync_api import Locator, Page, expect

from tests.e2e.chromium import Chromium, browse
from tests.e2e.conftest import ROOT, free_port, new_portside

HOSTILE = "<img src=x onerror=document.title='owned'> Ada Lovelace in London"
WIDTH = "document.documentElement.scrollWidth"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
UNNAMED = """
[...document.querySelectorAll('input:not([type=hidden]), textarea, select')]
  .filter(field => !field.labels.length && !field.ariaLabel).map(field => field.outerHTML)
"""
"""Fields that no label names."""
PUT_AND_WAIT_FOR_ITS_ERROR = """
markup => new Promise(resolve => {
  const main = document.querySelector('main')
  main.addEventListener('error', () => resolve(), {capture: true})
  main.innerHTML = markup
})
"""
"""As if the console had not escaped; an ancestor hears of an error before `onerror` would."""


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
def browser() -> Iterator[Chromium]:
    with browse() as opened:
        yield opened


def test_from_the_list_to_an_answer_and_its_line_in_the_log(
    console: str, browser: Chromium
) -> None:
    page = browser.open(console)
    expect(page.locator(".pill")).to_have_text("InService")
    page.get_by_role("link", name="ner").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("ner")
    before = lines(page).count()

    page.get_by_label("Text", exact=True).fill("Grace Hopper was born in Manhattan.")
    page.get_by_role("button", name="Ask").click()

    expect(marked(page)).to_have_text(["Grace GIVEN_NAME", "Hopper SURNAME", "Manhattan CITY"])
    expect(page.locator(".answer dl")).to_contain_text("AllTraffic")
    expect(lines(page).nth(before)).to_be_attached()
    expect(lines(page).last).to_contain_text("status=200")
    assert browser.pages == [f"{console}/", f"{console}/endpoints/ner"]
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith(console)] == []


def test_the_models_own_words_about_a_wrong_body(console: str, browser: Chromium) -> None:
    page = browser.open(f"{console}/endpoints/ner")
    page.get_by_text("Any body").click()
    page.get_by_label("Body", exact=True).fill('{"words": 1}')
    page.get_by_role("button", name="Send").click()

    answer = page.locator(".answer.bad")
    expect(answer).to_contain_text("The model answered 400")
    expect(answer).to_contain_text("got an object with `words`")


def test_requests_are_plotted(console: str, browser: Chromium) -> None:
    invoke(console)
    wait_until(lambda: "Requests a minute" in read(f"{console}/endpoints/ner/plots"))
    page = browser.open(f"{console}/endpoints/ner")

    plots = page.get_by_role("region", name="Last hour")
    labels = plots.locator("[role=img]").evaluate_all("charts => charts.map(one => one.ariaLabel)")
    charts = dict(label.split(": ") for label in labels)
    assert list(charts) == ["Requests a minute", "Model latency", "Overhead", "Cold starts"]
    assert "request" in charts["Requests a minute"]
    assert charts["Model latency"].startswith("latest ")
    assert plots.locator(".bar.first").count() > 0


def test_what_is_open_and_focused_stays_so_when_a_part_is_fetched_anew(
    console: str, browser: Chromium
) -> None:
    invoke(console)
    page = browser.open(f"{console}/endpoints/ner")
    page.get_by_text("The figures").click()
    page.evaluate("refresh(document.querySelector('#plots [data-from]'))")

    assert page.evaluate("Boolean(document.querySelector('#plots [data-from]').last)")
    expect(page.locator("#plots details")).to_have_attribute("open", "")
    expect(page.get_by_text("The figures")).to_be_focused()


def test_the_log_is_narrowed_without_a_reload(console: str, browser: Chromium) -> None:
    page = browser.open(f"{console}/endpoints/ner")
    page.get_by_label("Only lines with").fill("listening")
    page.get_by_role("button", name="Show").click()

    expect(lines(page)).to_have_text([re.compile("listening")])
    expect(page).to_have_url(f"{console}/endpoints/ner?stream=&filter=listening")
    assert len(browser.pages) == 1


def test_everything_is_there_without_scripts(console: str, browser: Chromium) -> None:
    page = browser.open(f"{console}/endpoints/ner?filter=listening", scripts=False)
    shown = page.locator("body").inner_text()
    assert "InService" in shown
    assert "serverless · 2048 MB · up to 5 at once" in shown
    assert "INFO listening" in shown
    assert "INFO ready" not in shown
    assert "follow" not in shown

    page.get_by_role("button", name="Ask").click()

    expect(marked(page).filter(has_text="Babbage")).to_have_text("Babbage SURNAME")
    assert browser.complaints == []


def test_what_a_text_holds_never_runs(console: str, browser: Chromium) -> None:
    page = browser.open(f"{console}/endpoints/ner")
    page.get_by_label("Text", exact=True).fill(HOSTILE)
    page.get_by_role("button", name="Ask").click()

    expect(page.locator(".marked")).to_contain_text("onerror=")
    expect(page.locator("img")).to_have_count(0)
    expect(page).to_have_title("ner · Portside")
    assert browser.complaints == []


def test_a_script_in_the_page_would_not_run(console: str, browser: Chromium) -> None:
    page = browser.open(f"{console}/endpoints/ner")
    page.evaluate(PUT_AND_WAIT_FOR_ITS_ERROR, HOSTILE)

    expect(page.locator("img")).to_have_count(1)
    expect(page).to_have_title("ner · Portside")
    assert any(
        "inline event handler" in said and "Content Security Policy" in said
        for said in browser.complaints
    )


@pytest.mark.parametrize("path", ["/", "/endpoints/ner", "/endpoints/none"])
def test_it_fits_a_phone_and_every_field_has_a_name(
    console: str, browser: Chromium, path: str
) -> None:
    page = browser.open(f"{console}{path}", width=400)

    assert page.evaluate(WIDTH) == 400
    assert page.evaluate(UNNAMED) == []


def test_it_is_dark_where_the_reader_wants_it(console: str, browser: Chromium) -> None:
    light = browser.open(console).evaluate(BACKGROUND)
    dark = browser.open(console, theme="dark").evaluate(BACKGROUND)

    assert (light, dark) == ("rgb(247, 246, 242)", "rgb(19, 23, 26)")


def test_forms_of_other_sites_are_refused(console: str) -> None:
    form = urllib.parse.urlencode({"text": "x", "token": "guessed"}).encode()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{console}/endpoints/ner/try", form, timeout=10)
    request = urllib.request.Request(console, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=10)


def lines(page: Page) -> Locator:
    return page.get_by_role("region", name="The newest").get_by_role("paragraph")


def marked(page: Page) -> Locator:
    """What the model found, each with its kind."""
    return page.locator("mark")


def invoke(console: str) -> None:
    """Try a text as a browser without scripts does."""
    token = re.search(r'name="token" value="([^"]+)"', read(f"{console}/endpoints/ner"))
    assert token is not None
    form = urllib.parse.urlencode({"text": "Ada in London", "token": token[1]}).encode()
    urllib.request.urlopen(f"{console}/endpoints/ner/try", form, timeout=30).close()


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        content: bytes = response.read()
    return content.decode()


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
