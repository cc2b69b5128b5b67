"""How far the upload of a large layer has come, so that a push that is cut goes on from there.

A small file for each, readable by its owner alone. Whoever uploads holds a lock on it until the
end: of two pushes of one layer at once, the second does not use what the first is sending.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from portside.archive.disk import writing

_SIZE_BYTES: Final = 256
"""Of the whole file, padded: one write replaces all of it, be the process killed when it will."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that has begun: its ID, the size of its parts, and how many bytes are there."""

    upload_id: str
    part_bytes: Annotated[int, msgspec.Meta(gt=0)]
    received: Annotated[int, msgspec.Meta(ge=0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRecord:
    """The file that an upload is written down in; without one (`descriptor` None) it is not."""

    path: Path
    descriptor: int | None

    def read(self) -> Upload | None:
        """What was written down, or None."""
        if self.descriptor is None:
            return None
        return _parsed(os.pread(self.descriptor, _SIZE_BYTES, 0))

    def write(self, upload: Upload) -> None:
        """Write down how far it is; raises `ArchiveError`."""
        if self.descriptor is not None:
            with writing(self.path):
                os.pwrite(self.descriptor, msgspec.json.encode(upload).ljust(_SIZE_BYTES), 0)

    def remove(self) -> None:
        """Nothing is to go on with any more."""
        if self.descriptor is not None:
            self.path.unlink(missing_ok=True)


@contextmanager
def open_record(path: Path) -> Iterator[UploadRecord]:
    """The record at `path`, locked; one that writes nothing down where another push holds it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    record = UploadRecord(path=path, descriptor=descriptor if _locked(descriptor) else None)
    try:
        yield record
    finally:
        if record.read() is None:
            record.remove()
        os.close(descriptor)


def read_record(path: Path) -> Upload | None:
    """What stands at `path`, whoever is writing it."""
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by another push; or a file system without locks
        return False
    return True


def _parsed(data: bytes) -> Upload | None:
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(data, type=Upload)
    return None
