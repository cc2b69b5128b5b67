"""Photograph the console for docs/reference/console.md: `python -m tests.docs.console_picture`.

Of an example, measured nowhere. Needs Chromium.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from PIL import Image
from playwright.sync_api import FloatRect, expect

from portside.console.app import Console
from tests.e2e.chromium import browse
from tests.unit.console.console_fakes import NOW, make_example

PICTURE: Final = Path(__file__).parents[2] / "docs" / "reference" / "console.png"
WIDTH, HEIGHT = 1280, 1340
COLORS: Final = 256
"""As many as a palette holds; the rare ones of errors and warnings are among them."""


@contextmanager
def serving() -> Iterator[str]:
    """The address of a console that shows the example."""
    console = Console(
        make_example(),
        place="local AWS · account 000000000000 · us-east-1",
        clock=lambda: NOW,
    )
    server = uvicorn.Server(uvicorn.Config(console.application(), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        running.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            running.join()


def main() -> None:
    """Write the picture anew."""
    with serving() as address, browse() as browser:
        page = browser.open(f"{address}/endpoints/ner", width=WIDTH)
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("mark")).not_to_have_count(0)
        clip: FloatRect = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT}
        taken = page.screenshot(full_page=True, clip=clip)
    with Image.open(io.BytesIO(taken)) as picture:
        picture.quantize(COLORS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
