"""Write a `.tar.gz` whose bytes depend on the members' names and contents alone.

    files ─▶ tar, in order of name ─▶ gzip (see `compression`) ─▶ digest ─▶ .NAME.*.partial ─▶ NAME

Nothing is held but the blocks that are being compressed, however large the files.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from portside.archive.compression import GzipWriter, Output
from portside.archive.disk import writing
from portside.archive.error import ArchiveError
from portside.archive.member import Member, checked_name
from portside.archive.partial import make_file, partial_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

READ_BYTES: Final = 64 * 1024
"""Of a file at a time: large enough for Python to cost nothing, small enough to stay in cache."""

END: Final = bytes(2 * tarfile.BLOCKSIZE)
"""What a tar ends with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What `pack` wrote: the file, its SHA-256 in hex, and its size."""

    path: Path
    digest: str
    size_bytes: int


def pack(
    members: Iterable[Member],
    to: Path,
    *,
    progress: Callable[[int], None] = lambda _: None,
    threads: int | None = None,
) -> Packed:
    """Write `members` to the `.tar.gz` at `to`; only a whole archive ever stands there.

    Members are sorted by name; times are 0, owners root without a name, modes
    0644, or 0755 where the owner may execute. `progress` hears the number of
    bytes read since it was last called. `threads` is how many compress, by
    default one for each core; the bytes are the same.
    """
    ordered = _ordered(members)
    with writing(to), partial_beside(to, make_file) as partial:
        with partial.open("wb") as file:
            output = HashingWriter(file)
            _write(ordered, output, threads=threads, progress=progress)
        partial.replace(to)
    return Packed(path=to, digest=output.sha256.hexdigest(), size_bytes=output.size_bytes)


def digest(path: Path) -> str:
    """The SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ordered(members: Iterable[Member]) -> list[Member]:
    by_name: dict[str, Member] = {}
    for member in members:
        name = checked_name(member.name)
        if not name or name in by_name:
            raise ArchiveError(f"two files would become the member `{name}`")
        by_name[name] = Member(name=name, source=member.source)
    for name in by_name:
        if clash := next((str(p) for p in PurePosixPath(name).parents if str(p) in by_name), None):
            raise ArchiveError(f"member `{clash}` would be a file and a folder")
    return [by_name[name] for name in sorted(by_name)]


def _write(
    members: Iterable[Member],
    output: Output,
    *,
    threads: int | None,
    progress: Callable[[int], None],
) -> None:
    with GzipWriter(output, threads=threads) as tar:
        for member in members:
            write_member(tar, member, progress)
        tar.write(END)
        tar.finish()


def write_member(tar: Output, member: Member, progress: Callable[[int], None]) -> None:
    """Write a member's header and content; raises `ArchiveError` unless it is a regular file."""
    # A link could bring in a file from anywhere on this machine, and a pipe never ends.
    if not stat.S_ISREG(member.source.lstat().st_mode):
        raise ArchiveError(f"`{member.source}` is not a regular file")
    with member.source.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        header = tarfile.TarInfo(member.name)
        header.size = left = status.st_size
        header.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        # PAX is USTAR, with a further header only for members that USTAR cannot express.
        tar.write(header.tobuf(tarfile.PAX_FORMAT, encoding="utf-8"))
        while left and (data := file.read(min(left, READ_BYTES))):
            tar.write(data)
            left -= len(data)
            progress(len(data))
        now = os.fstat(file.fileno())
        if left or (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            raise OSError(f"`{member.source}` changed while it was read")
        tar.write(bytes(-status.st_size % tarfile.BLOCKSIZE))


class HashingWriter:
    """An output that knows the digest and the size of what was written to it."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size_bytes += len(data)
        return self._output.write(data)
