"""Files of a project: which there are, what is in them, and how the user names them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

_LARGEST_BYTES: Final = 2 * 1024**2
"""Of a file of code; larger ones are data."""

_MOST_FILES: Final = 50


def text(path: Path) -> str:
    """What a file of text begins with; bytes that are none are replaced."""
    with path.open("rb") as file:
        return file.read(_LARGEST_BYTES).decode("utf-8-sig", "replace")


def python_files(folder: Path) -> Iterator[Path]:
    """The first files of Python in a folder, by their names."""
    return islice((path for path in sorted(folder.glob("*.py")) if path.is_file()), _MOST_FILES)


def shown(path: Path, root: Path, folder: Path) -> str:
    """A path below `root` as the user would type it, who typed `folder` for it."""
    return str(folder / path.relative_to(root)) if path.is_relative_to(root) else str(path)
