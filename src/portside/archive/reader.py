"""Read the members of a tar stream that may be hostile.

Not `tarfile`: it takes a broken header in mid-stream for the end of the archive,
and reads an extended header of any length into memory. An artifact needs plain
files and folders with long names, and this reads those; whatever else a tar can
hold is refused by name. Layout of the headers: POSIX.1-2001 `pax`, and GNU tar's
`L` member for long names (GNU tar manual, "Basic Tar Format").
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from portside.archive.error import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES: Final = tarfile.BLOCKSIZE
EXTENDED_HEADER_BYTES: Final = 64 * 1024
"""Longest extended header: a path of 4096 bytes (PATH_MAX) fits many times over."""

SIZE_DIGITS: Final = 20
"""Of a member's size in bytes: 2 to the power of 64."""

CHUNK_BYTES: Final = 1024 * 1024

_END: Final = bytes(BLOCK_BYTES)
_FILE_TYPES: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})
_EXTENSION_TYPES: Final = frozenset(
    {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME}
)
_REFUSED_TYPES: Final = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.GNUTYPE_LONGLINK: "a link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.CONTTYPE: "a contiguous file",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class Stream(Protocol):
    """Where bytes come from; fewer than asked for only at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or folder of the archive, as its header has it: the name is not checked yet."""

    name: str
    is_folder: bool
    executable: bool
    size_bytes: int


def entries(stream: Stream) -> Iterator[tuple[Entry, Iterator[bytes]]]:
    """Each member with its content in chunks; content that is not taken is skipped.

    Raises `ArchiveError` at the first thing that is wrong with the stream.
    """
    extended: dict[str, str] = {}
    while (block := _read_exactly(stream, BLOCK_BYTES)) != _END:
        header = _parsed(block)
        if extended and header.type in _EXTENSION_TYPES:
            raise ArchiveError("two extended tar headers in a row")
        match header.type:
            case tarfile.XHDTYPE | tarfile.SOLARIS_XHDTYPE:
                extended = _pax_records(_extension(stream, header))
            case tarfile.GNUTYPE_LONGNAME:
                extended = {"path": _text(_extension(stream, header).rstrip(b"\0"))}
            case tarfile.XGLTYPE:
                _check_global(_pax_records(_extension(stream, header)))
            case _:
                entry = _entry(header, extended)
                content = _content(stream, entry.size_bytes)
                yield entry, content
                for _ in content:
                    pass
                extended = {}
    if extended:
        raise ArchiveError("the tar ends after an extended header")


def _read_exactly(stream: Stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ArchiveError("the tar ends too early")
    return data


def _parsed(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise ArchiveError(f"a tar header is broken: {error}") from error


def _extension(stream: Stream, header: tarfile.TarInfo) -> bytes:
    if not 0 < header.size <= EXTENDED_HEADER_BYTES:
        raise ArchiveError(f"an extended tar header of {header.size} bytes")
    return b"".join(_content(stream, header.size))


def _pax_records(data: bytes) -> dict[str, str]:
    """Records of the form `LENGTH KEY=VALUE newline`; the length counts the whole record."""
    records: dict[str, str] = {}
    while data:
        length, _, _ = data.partition(b" ")
        size = int(length) if length.isdigit() and len(length) <= len(str(len(data))) else 0
        record, data = data[:size], data[size:]
        key, equals, value = record[len(length) + 1 :].removesuffix(b"\n").partition(b"=")
        if not (equals and len(record) == size and record.endswith(b"\n")):
            raise ArchiveError("an extended tar header is broken")
        records[_text(key)] = _text(value)
    return records


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ArchiveError("a name in the tar is not UTF-8") from error


def _check_global(records: dict[str, str]) -> None:
    """`git archive` leaves a global comment; anything else would change members unseen."""
    if surplus := sorted(records.keys() - {"comment"}):
        raise ArchiveError(f"a global tar header sets `{surplus[0]}`")


def _entry(header: tarfile.TarInfo, extended: dict[str, str]) -> Entry:
    name = extended.get("path", header.name)
    if refused := _REFUSED_TYPES.get(header.type):
        raise ArchiveError(f"member `{name}` is {refused}")
    if header.type not in _FILE_TYPES and header.type != tarfile.DIRTYPE:
        raise ArchiveError(f"member `{name}` is of the unknown type {header.type!r}")
    if any(key.startswith("GNU.sparse") for key in extended):
        raise ArchiveError(f"member `{name}` is a sparse file")
    size = extended.get("size", str(header.size))
    if not (size.isascii() and size.isdigit() and len(size) <= SIZE_DIGITS):
        raise ArchiveError(f"member `{name}` has the size `{size[:SIZE_DIGITS]}`")
    is_folder = header.type == tarfile.DIRTYPE
    return Entry(
        name=name,
        is_folder=is_folder,
        executable=bool(header.mode & 0o100),
        # The size of a folder is a hint to old file systems; no content follows (POSIX.1-2001).
        size_bytes=0 if is_folder else int(size),
    )


def _content(stream: Stream, size: int) -> Iterator[bytes]:
    """`size` bytes in chunks, then the padding up to the next block is passed over."""
    left = size
    while left:
        chunk = _read_exactly(stream, min(left, CHUNK_BYTES))
        left -= len(chunk)
        yield chunk
    _read_exactly(stream, -size % BLOCK_BYTES)
