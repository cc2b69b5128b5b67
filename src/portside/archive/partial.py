"""What is being made stands beside its final name, as `.NAME.*.partial`, and is renamed when whole.

A run that is killed leaves such a thing behind; the next run for the same name
removes it. Whoever makes one holds a lock on it until the end, and the system
lets go of a dead process's locks, so that of two runs at once neither takes the
other's away.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from portside.archive.disk import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def partial_beside(final: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """A new file or folder beside `final`, made by `make`; gone at the end unless renamed.

    Leftovers of killed runs are removed first. Raises what `make` raises.
    """
    for path in final.parent.glob(f".{glob.escape(final.name)}.*.partial"):
        remove_leftover(path)
    path, lock = _make_locked(final, make)
    try:
        yield path
    finally:
        _remove(path)
        os.close(lock)


def write_whole(final: Path, content: bytes) -> None:
    """Write a file that is there whole or as it was before; raises `ArchiveError`."""
    with writing(final), partial_beside(final, make_file) as partial:
        partial.write_bytes(content)
        partial.replace(final)


def make_file(path: Path) -> None:
    """An empty one, which nobody else has made."""
    path.touch(exist_ok=False)


def remove_leftover(partial: Path) -> None:
    """Remove what a killed run left; what a living one works on stays."""
    # One that ends meanwhile, and one that is not ours to open, are none of our business.
    with suppress(OSError):
        lock = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(partial)
        finally:
            os.close(lock)


def _make_locked(final: Path, make: Callable[[Path], None]) -> tuple[Path, int]:
    while True:
        path = final.with_name(f".{final.name}.{secrets.token_hex(4)}.partial")
        make(path)
        try:
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # another run's sweep was as quick as that
            continue
        # A file system without locks: then nobody can take one to sweep either.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path, lock
        # Another run's sweep came between the two lines.
        os.close(lock)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
