"""The page in the browser, asked for as a browser asks."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Portside, free_port


@pytest.fixture
def page(portside: Portside, ner: Path) -> Iterator[str]:
    """The address of a console with the example deployed."""
    portside("deploy", ner)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "portside", "console", "--port", str(port)],
        env=portside.environment,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/"
    wait_until_answered(url)
    yield url
    process.terminate()
    process.wait(timeout=10)


def test_endpoints_are_shown_and_can_be_tried(page: str) -> None:
    shown = read(page)
    token = re.search(r'name="token" value="([^"]+)"', shown)
    assert token is not None
    assert "InService" in shown

    answer = read(
        page + "try",
        {"endpoint": "ner", "text": "<b>Ada Lovelace</b> in London", "token": token[1]},
    )

    assert "<mark>London <small>CITY</small></mark>" in answer
    assert "&lt;b&gt;" in answer
    assert "<b>Ada" not in answer


def test_forms_of_other_sites_are_refused(page: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        read(page + "try", {"endpoint": "ner", "text": "x", "token": "guessed"})
    request = urllib.request.Request(page, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=10)


def read(url: str, form: dict[str, str] | None = None) -> str:
    body = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(url, body, timeout=30) as response:
        return response.read().decode()


def wait_until_answered(url: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            read(url)
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
