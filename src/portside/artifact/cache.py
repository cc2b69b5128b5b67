"""What was made once and is slow to make: folders named by the digest of all that they depend on.

    .portside/export-…    a graph       int8-…    one in 8 bits       ranking-…, answers-…

To package an unchanged checkpoint again finds all of them. One that was not used for
an hour belongs to weights that have changed since, and is removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

KINDS: Final = ("answers", "export", "int8", "ranking")

KEPT_S: Final = 3600
"""Long enough for whoever packages in turn with one setting and another, and for two at once."""

_DIGITS: Final = 10


def cached(cache: Path, kind: str, depends_on: Iterable[str]) -> Path:
    """The folder for what depends on all of these, be it there yet or not; it counts as used."""
    key = hashlib.sha256("\n".join(depends_on).encode()).hexdigest()[:_DIGITS]
    folder = cache / f"{kind}-{key}"
    if folder.is_dir():
        os.utime(folder)
    return folder


def prune(cache: Path, *, now: float) -> None:
    """Remove what was not used lately, logs too; `now` is in seconds since the epoch."""
    for kind in KINDS:
        for path in cache.glob(f"{kind}-*"):
            if now - path.stat().st_mtime < KEPT_S:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
