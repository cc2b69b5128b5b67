"""Unpack a `.tar.gz` from anywhere into a folder, or leave no trace.

What is refused and why stands in `reader` (kinds of members), `member` (names)
and `Limits` (sizes). Modes become 0644 and 0755 and owners the caller's,
whatever the archive says.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from portside.archive.error import ArchiveError
from portside.archive.member import checked_name
from portside.archive.partial import partial_beside
from portside.archive.reader import CHUNK_BYTES, Entry, entries

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEBIBYTE: Final = 1024 * 1024
_HINT: Final = "make the archive anew with `portside package`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an archive may unpack to.

    gzip reaches 1032:1 at most; text reaches 20:1 and weights 2:1, so a ratio
    over 200:1 is a bomb. Small archives are not judged by it: a file of zeros
    of up to `ratio_from_bytes` harms nobody.
    """

    members: int = 10_000
    """Files and folders, also folders that only the names of files imply."""
    total_bytes: int = 100 * 1024 * _MEBIBYTE
    ratio: int = 200
    ratio_from_bytes: int = 64 * _MEBIBYTE


DEFAULT_LIMITS: Final = Limits()


def unpack(
    archive: Path, into: Path, *, limits: Limits = DEFAULT_LIMITS, digest: str | None = None
) -> tuple[str, ...]:
    """Unpack `archive` into the new or empty folder `into`; the names of the files, sorted.

    `digest` is the SHA-256 in hex that the archive must have. Raises
    `ArchiveError` where it has another, and for anything hostile or broken; then
    `into` is as it was before.
    """
    try:
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise ArchiveError(f"`{into}` is there already and not an empty folder")  # noqa: TRY301 - one wording for all
        into.parent.mkdir(parents=True, exist_ok=True)
        with archive.open("rb") as file, partial_beside(into, Path.mkdir) as partial:
            source = _Source(file, digest)
            names = _write_all(_BoundedStream(source, limits), partial, limits=limits)
            source.check()
            partial.replace(into)
    except ArchiveError as error:
        raise ArchiveError(f"could not unpack `{archive}`: {error.message}", hint=_HINT) from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(
            f"could not unpack `{archive}`: not a whole gzip file: {error}", hint=_HINT
        ) from error
    except OSError as error:
        raise ArchiveError(
            f"could not unpack `{archive}` into `{into}`: {error}",
            hint="check that the archive can be read and that the disk has room",
        ) from error
    return names


def _write_all(stream: _BoundedStream, root: Path, *, limits: Limits) -> tuple[str, ...]:
    root.chmod(0o755)
    files: set[str] = set()
    folders: set[str] = set()
    for entry, content in entries(stream):
        name = checked_name(entry.name)
        if entry.is_folder:
            _make_folders(root, name, files=files, folders=folders)
        else:
            _check_new(name, files=files, folders=folders)
            _make_folders(root, name.rpartition("/")[0], files=files, folders=folders)
            _write(root / name, entry, content)
            files.add(name)
        if len(files) + len(folders) > limits.members:
            raise ArchiveError(f"over {limits.members} files and folders")
    stream.drain()
    return tuple(sorted(files))


def _check_new(name: str, *, files: set[str], folders: set[str]) -> None:
    if not name:
        raise ArchiveError("a file without a name")
    if name in files:
        raise ArchiveError(f"two members are named `{name}`")
    if name in folders:
        raise ArchiveError(f"member `{name}` is a file and a folder")


def _make_folders(root: Path, name: str, *, files: set[str], folders: set[str]) -> None:
    """The folder `name` and those around it, as far as they are not there yet."""
    parts = name.split("/") if name else []
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        if path in files:
            raise ArchiveError(f"member `{path}` is a file and a folder")
        if path not in folders:
            (root / path).mkdir()
            (root / path).chmod(0o755)
            folders.add(path)


def _write(path: Path, entry: Entry, content: Iterator[bytes]) -> None:
    with path.open("xb") as file:
        file.writelines(content)
    path.chmod(0o755 if entry.executable else 0o644)


class _Source:
    """The archive's own bytes, counted, and digested where a digest is asked for."""

    def __init__(self, file: BinaryIO, digest: str | None) -> None:
        self._file = file
        self._digest = digest
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.size_bytes += len(data)
        if self._digest is not None:
            self._sha256.update(data)
        return data

    def seek(self, _offset: int, /) -> object:
        """Only there because `gzip` wants it of a file, for going back."""
        raise io.UnsupportedOperation

    def check(self) -> None:
        """Raise unless the bytes, all read by now, have the digest that was asked for."""
        seen = self._sha256.hexdigest()
        if self._digest not in {None, seen}:
            raise ArchiveError(f"its SHA-256 is `{seen}` and not `{self._digest}`")


class _BoundedStream:
    """The decompressed bytes, and no more of them than the limits allow."""

    def __init__(self, source: _Source, limits: Limits) -> None:
        self._source = source
        self._gzip = gzip.GzipFile(fileobj=source, mode="rb")
        self._limits = limits
        self._total_bytes = 0

    def read(self, size: int, /) -> bytes:
        data: bytes = self._gzip.read(size)
        self._total_bytes += len(data)
        if self._total_bytes > self._limits.total_bytes:
            raise ArchiveError(f"unpacks to over {self._limits.total_bytes} bytes")
        if self._total_bytes > max(
            self._limits.ratio_from_bytes, self._limits.ratio * self._source.size_bytes
        ):
            raise ArchiveError(f"unpacks to over {self._limits.ratio} times its size")
        return data

    def drain(self) -> None:
        """Read to the end, where gzip keeps its checksum."""
        while self.read(CHUNK_BYTES):
            pass
