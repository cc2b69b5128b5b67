"""What was made once and is slow to make: folders named by the digest of all that they depend on.

    .portside/export-…    a graph       int8-…    one in 8 bits       ranking-…, answers-…

To package an unchanged checkpoint again finds all of them. One that was not used for
an hour belongs to weights that have changed since, and is removed; what a killed run
left half made goes at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from portside.archive.partial import remove_leftover

KEPT_S: Final = 3600
"""Long enough for whoever packages in turn with one setting and another, and for two at once."""

_DIGITS: Final = 10

SERVED: Final = "served"
"""A folder that stands only while a process reads it."""

# The folder may be the user's too: only what we have named goes.
_NAME: Final = rf"(answers|export|int8|ranking)-[0-9a-f]{{{_DIGITS}}}"
_KEPT: Final = re.compile(rf"{_NAME}(\.log)?")
_PARTIAL: Final = re.compile(rf"\.({_NAME}|{SERVED})\.[0-9a-f]+\.partial")


def cached(cache: Path, kind: str, depends_on: Iterable[str]) -> Path:
    """The folder for what depends on all of these, be it there yet or not; it counts as used."""
    key = hashlib.sha256("\n".join(depends_on).encode()).hexdigest()[:_DIGITS]
    folder = cache / f"{kind}-{key}"
    if folder.is_dir():
        os.utime(folder)
    return folder


def prune(cache: Path, *, now: float) -> None:
    """Remove what was not used lately, logs too; `now` is in seconds since the epoch."""
    for path in cache.iterdir() if cache.is_dir() else ():
        if _PARTIAL.fullmatch(path.name):
            remove_leftover(path)
        elif _KEPT.fullmatch(path.name) and _is_old(path, now):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_old(path: Path, now: float) -> bool:
    try:
        return now - path.lstat().st_mtime >= KEPT_S
    except FileNotFoundError:  # another run was faster
        return False
