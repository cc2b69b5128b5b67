"""The system's Chromium, driven by playwright: https://playwright.dev/python.

Playwright fetches no browser of its own here; its wheel brings what drives one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from tests.e2e.program import system

ONLY_LOOPBACK: Final = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""Nothing is reached elsewhere, neither by a page nor by the browser."""
TIMEOUT_MS: Final = 30_000
"""Of each wait, that of `expect` too: its own 5 s are few for a machine that runs all tests."""


class Chromium:
    """A browser that shows one page at a time."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._made_for: tuple[bool, bool] | None = None
        self.complaints: list[str] = []
        """What the page logs or throws, and what is refused to it."""
        self.requests: list[str] = []
        """The addresses of all that it asks for, those of `pages` among them."""
        self.pages: list[str] = []
        """The addresses that it went to: one, unless a link or a form led away."""

    def open(
        self,
        place: Path | str,
        *,
        width: int = 1280,
        theme: Literal["light", "dark"] = "light",
        on_paper: bool = False,
        scripts: bool = True,
    ) -> Page:
        """Show a file or an address, as wide as given, in place of what was shown before."""
        page = self._page(is_mobile=width < 600, scripts=scripts)
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(media="print" if on_paper else "screen", color_scheme=theme)
        for heard in (self.complaints, self.requests, self.pages):
            heard.clear()
        page.goto(place if isinstance(place, str) else place.absolute().as_uri())
        return page

    def _page(self, *, is_mobile: bool, scripts: bool) -> Page:
        """The page that there is, or another where these differ: no page can change them."""
        if self._made_for != (is_mobile, scripts):
            for old in self._browser.contexts:
                old.close()
            context = self._browser.new_context(
                device_scale_factor=2, is_mobile=is_mobile, java_script_enabled=scripts
            )
            context.set_default_timeout(TIMEOUT_MS)
            context.on("console", lambda said: self.complaints.append(said.text))
            context.on("weberror", lambda thrown: self.complaints.append(str(thrown.error)))
            context.on("request", self._note)
            context.new_page()
            self._made_for = (is_mobile, scripts)
        return self._browser.contexts[0].pages[0]

    def _note(self, request: Request) -> None:
        self.requests.append(request.url)
        if request.is_navigation_request():
            self.pages.append(request.url)


@contextmanager
def browse() -> Iterator[Chromium]:
    """A browser for as long as the block lasts; skips a test that cannot have one."""
    expect.set_options(timeout=TIMEOUT_MS)
    program = system("chromium", package="chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=program,
            args=[ONLY_LOOPBACK],
            chromium_sandbox=False,  # root, as in a container, can have none
            timeout=TIMEOUT_MS,
        ) as browser,
    ):
        yield Chromium(browser)
