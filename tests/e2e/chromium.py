"""A page in headless Chromium, spoken to in the DevTools protocol over a pair of pipes.

https://chromedevtools.github.io/devtools-protocol/; with `--remote-debugging-pipe` messages
are JSON with a zero byte after each, to file descriptor 3 and from 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

PROGRAM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
TIMEOUT_S: Final = 30.0


class Page:
    """One tab; `complaints` and `requests` gather what it logs and fetches."""

    def __init__(self, commands: int, messages: int) -> None:
        self._commands = commands
        self._messages = messages
        self._buffer = b""
        self._last_id = 0
        self._session: str | None = None
        self._loaded = False
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")

    def open(
        self,
        place: Path | str,
        *,
        width: int,
        theme: Literal["light", "dark"] = "light",
        on_paper: bool = False,
        scripts: bool = True,
    ) -> None:
        """Load a file or an address, as wide as given, and wait until it is there."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=2,
            mobile=width < 600,
        )
        self._call(
            "Emulation.setEmulatedMedia",
            media="print" if on_paper else "screen",
            features=[{"name": "prefers-color-scheme", "value": theme}],
        )
        self._call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.complaints.clear()
        self.requests.clear()
        self._loaded = False
        url = place if isinstance(place, str) else place.absolute().as_uri()
        self._call("Page.navigate", url=url)
        self.wait_for_load()

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        done = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return done["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression in the page is true; `TimeoutError` where it never is."""
        until = time.monotonic() + TIMEOUT_S
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > until:
                raise TimeoutError(f"never true in the page: {expression}")
            time.sleep(0.05)

    def wait_for_load(self) -> None:
        """Wait until the page that was asked for last is there."""
        while not self._loaded:
            self._hear(self._read())

    def click(self, selector: str, *, leads_away: bool = False) -> None:
        """Press the mouse on an element as a reader does; wait for the page it may lead to."""
        self.evaluate(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        x, y = self.evaluate(
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        self._loaded = not leads_away
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.wait_for_load()

    def type_into(self, selector: str, text: str) -> None:
        """Replace what stands in a field by a text, as typed."""
        self.evaluate(
            f"(field => {{field.focus(); field.select()}})(document.querySelector({selector!r}))"
        )
        self._call("Input.insertText", text=text)

    def screenshot(self, path: Path, *, height: int | None = None) -> None:
        """Photograph the whole page, or its upper part, as PNG."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"]}
        taken = self._call(
            "Page.captureScreenshot", clip=clip | {"scale": 1}, captureBeyondViewport=True
        )
        path.write_bytes(base64.b64decode(taken["data"]))

    def close(self) -> None:
        """Ask the browser to end."""
        self._session = None
        self._call("Browser.close")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (heard := self._read()).get("id") != self._last_id:
            self._hear(heard)
        if "error" in heard:
            raise RuntimeError(f"{method}: {heard['error']['message']}")
        result: dict[str, Any] = heard["result"]
        return result

    def _hear(self, event: dict[str, Any]) -> None:
        said = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Log.entryAdded":
                self.complaints.append(said["entry"]["text"])
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(said))
            case "Network.requestWillBeSent":
                self.requests.append(said["request"]["url"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._messages], [], [], TIMEOUT_S)[0]:
                raise TimeoutError(f"Chromium said nothing for {TIMEOUT_S:.0f} s")
            if not (heard := os.read(self._messages, 1 << 16)):
                raise RuntimeError("Chromium has ended")
            self._buffer += heard
        message, _, self._buffer = self._buffer.partition(b"\0")
        value: dict[str, Any] = json.loads(message)
        return value


@contextmanager
def browse(profile: Path) -> Iterator[Page]:
    """A page in a browser of its own, with its profile in a folder of yours."""
    if PROGRAM is None:
        raise FileNotFoundError("chromium is not installed")
    their_end, commands = os.pipe()
    messages, their_other_end = os.pipe()
    line = f'exec "$0" "$@" 3<&{their_end} 4>&{their_other_end}'
    process = subprocess.Popen(
        ["bash", "-c", line, PROGRAM, *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(their_end, their_other_end),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_end)
    os.close(their_other_end)
    try:
        page = Page(commands, messages)
        yield page
        page.close()
        process.wait(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
        os.close(commands)
        os.close(messages)
