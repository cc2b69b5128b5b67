"""Photograph a report page for docs/reference/report.md: `python -m tests.docs.report_picture`.

Of the `report.html` that is named, else of an example that says so. Needs Chromium.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import FloatRect

from portside.artifact.report.page import to_html
from tests.e2e.chromium import browse
from tests.unit.artifact.report_values import make_example

PICTURE: Final = Path(__file__).parents[2] / "docs" / "reference" / "report.png"
WIDTH, HEIGHT = 1100, 1500
"""The upper part, to where the plots begin to repeat themselves."""
COLORS: Final = 128
"""Enough for a page of few; a third of the bytes."""


def main() -> None:
    """Write the picture anew."""
    with tempfile.TemporaryDirectory() as folder:
        page_file = Path(folder) / "report.html"
        named = [Path(argument) for argument in sys.argv[1:]]
        page_file.write_bytes(named[0].read_bytes() if named else to_html(make_example()))
        with browse() as browser:
            page = browser.open(page_file, width=WIDTH)
            clip: FloatRect = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT}
            taken = page.screenshot(full_page=True, clip=clip)
    with Image.open(io.BytesIO(taken)) as picture:
        picture.quantize(COLORS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
