"""A disk that is full, in a message that names the disk and not only the file."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from portside.archive.error import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""No space at all, and none that this user may take."""

_NOTHING_BYTES: Final = 1 << 20
"""With less than that left, a program that fails has most likely failed at it."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the system refuses meanwhile is an `ArchiveError` about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(path) from error
        raise ArchiveError(
            f"could not write `{path}`: {error}",
            hint="check that the folder can be written to, "
            "and that nothing changes the files meanwhile",
        ) from error


def disk_full(path: Path) -> ArchiveError:
    """That `path` could not be written because there is no room."""
    disk = _mount_point(path)
    return ArchiveError(
        f"could not write `{path}`: the disk `{disk}` is full",
        hint=f"make room on `{disk}` (`df -h {disk}` shows it), then run the same command again",
    )


def ran_full(folder: Path, said: str) -> bool:
    """Whether a program that wrote into `folder` and failed, saying so, had no room left."""
    return (
        any(os.strerror(code) in said for code in _FULL)
        or shutil.disk_usage(folder).free < _NOTHING_BYTES
    )


def _mount_point(path: Path) -> Path:
    absolute = path.absolute()
    return next(folder for folder in absolute.parents if os.path.ismount(folder))
