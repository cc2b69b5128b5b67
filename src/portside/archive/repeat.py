"""What was packed is not packed again while nothing changed: a look at the files, no reading.

    members ─▶ inode, size and times of each ─┐
    the archive's own ────────────────────────┴▶ as in the record? ─▶ yes: its digest
                                                                 └─▶ no: pack, and write the record

A file whose status is as it was has the content that it had, as for git's index; and as there, one
that changed a moment before it was packed might have changed again within the same tick of the
clock, and is not relied upon (git, Documentation/technical/racy-git).
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from portside import __version__
from portside.archive.error import ArchiveError
from portside.archive.partial import write_whole
from portside.archive.writer import Packed, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from portside.archive.member import Member

SETTLED_S: Final = 2.0
"""Since the last change of a file: the coarsest clock of a file system, that of FAT."""

_WRITER: Final = f"{__version__}, zlib {zlib.ZLIB_RUNTIME_VERSION}"
"""Who wrote the archive: others may write other bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    writer: str
    members: str
    archive: str
    digest: str
    size_bytes: int


def pack_once(
    members: Sequence[Member],
    to: Path,
    *,
    record: Path,
    progress: Callable[[int], None] = lambda _: None,
    now: Callable[[], float] = time.time,
) -> Packed:
    """As `pack`, without any work where `to` holds these members already.

    `record` is a file of Portside's own, where what was packed is written down; `now` is in seconds
    since the epoch.
    """
    before, changed_s = _statuses(members)
    known = _read(record)
    if (
        known
        and (known.writer, known.members) == (_WRITER, before)
        and known.archive == _status(to)
    ):
        return Packed(path=to, digest=known.digest, size_bytes=known.size_bytes)
    began_s = now()
    packed = pack(members, to, progress=progress)
    if began_s - changed_s > SETTLED_S:
        made = _Record(
            writer=_WRITER,
            members=before,
            archive=_status(to),
            digest=packed.digest,
            size_bytes=packed.size_bytes,
        )
        with suppress(ArchiveError):  # what counts is made; without a record it is made again
            write_whole(record, json.dumps(asdict(made)).encode())
    return packed


def _statuses(members: Sequence[Member]) -> tuple[str, float]:
    """A digest of all names and statuses, and the time of the last change in seconds."""
    found = hashlib.sha256()
    changed_ns = 0
    for member in sorted(members, key=lambda one: one.name):
        line = f"{member.name}\0{member.source}\0{_status(member.source)}\n"
        found.update(line.encode(errors="backslashreplace"))
        try:
            changed_ns = max(changed_ns, member.source.lstat().st_ctime_ns)
        except OSError as error:
            raise ArchiveError(
                f"could not read `{member.source}`: {error.strerror}",
                hint="see that nothing removes files meanwhile, then run the same command again",
            ) from error
    return found.hexdigest(), changed_ns / 1e9


def _status(path: Path) -> str:
    """Empty where nothing is."""
    try:
        status = path.lstat()
    except OSError:
        return ""
    parts = (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return " ".join(map(str, parts))


def _read(record: Path) -> _Record | None:
    """None where there is none, or none of ours."""
    try:
        return _Record(**json.loads(record.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
