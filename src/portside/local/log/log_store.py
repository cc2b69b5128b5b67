r"""What instances printed: one append-only file per stream, a line per event.

A line is `<milliseconds since 1970>\t<text>\n`, so that the files can be read
with `less` too. They outlive their endpoint, as CloudWatch's do. Writing is one
`write` of whole lines, which `kill -9` of the writer cannot tear.

Names are quoted into file names, dots and slashes included, so that no name
reaches outside the folder.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_EVENT_BYTES: Final = 256 * 1024 - 26
"""Longest text of one event; longer lines become several events. The classic limit of
CloudWatch Logs' PutLogEvents: 256 KB, of which 26 bytes are counted for each event.
"""

_SUFFIX: Final = ".log"
_MAX_FILE_NAME: Final = 255  # of every file system in use


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line: when it came (milliseconds), what it said, and the bytes of the file it fills."""

    time_ms: int
    message: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One instance's output. Times are milliseconds; a stream without a line does not exist."""

    name: str
    first_time_ms: int
    last_time_ms: int
    size_bytes: int


class LogStore:
    """Log groups and their streams under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, group: str, stream: str, lines: Iterable[bytes], *, now_ms: int) -> None:
        """Add lines, without their line ends; what is not UTF-8 in them is replaced."""
        data = b"".join(
            b"%d\t%s\n" % (now_ms, piece.decode(errors="replace").encode())
            for line in lines
            for piece in _pieces(line.rstrip(b"\r"))
        )
        path = self._path(group, stream)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(data)

    def groups(self) -> list[str]:
        """The names of the groups, sorted."""
        if not self._folder.is_dir():
            return []
        return sorted(unquote(path.name) for path in self._folder.iterdir() if path.is_dir())

    def has_group(self, group: str) -> bool:
        """Whether there is such a group."""
        return group in self.groups()

    def has_stream(self, group: str, stream: str) -> bool:
        """Whether there is such a stream."""
        return len(_quoted(stream) + _SUFFIX) <= _MAX_FILE_NAME and (
            self.has_group(group) and self._path(group, stream).is_file()
        )

    def streams(self, group: str) -> list[Stream]:
        """The streams of a group, sorted by name; none for a group that is not there."""
        if not self.has_group(group):
            return []
        folder = self._folder / _quoted(group)
        found = [_stream(path) for path in folder.iterdir() if path.suffix == _SUFFIX]
        return sorted((stream for stream in found if stream), key=lambda stream: stream.name)

    def events(self, group: str, stream: str, *, start: int = 0) -> Iterator[Event]:
        """The events of a stream, oldest first, from a position that an event had."""
        with self._path(group, stream).open("rb") as file:
            file.seek(start)
            yield from _read(file)

    def _path(self, group: str, stream: str) -> Path:
        return self._folder / _quoted(group) / (_quoted(stream) + _SUFFIX)


def _quoted(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")


def _pieces(line: bytes) -> Iterator[bytes]:
    yield line[:MAX_EVENT_BYTES]
    for start in range(MAX_EVENT_BYTES, len(line), MAX_EVENT_BYTES):
        yield line[start : start + MAX_EVENT_BYTES]


def _read(file: BinaryIO) -> Iterator[Event]:
    position = file.tell()
    for line in file:
        end = position + len(line)
        time, tab, message = line.partition(b"\t")
        if tab and time.isdigit() and line.endswith(b"\n"):
            text = message[:-1].decode(errors="replace")
            yield Event(time_ms=int(time), message=text, start=position, end=end)
        position = end


def _stream(path: Path) -> Stream | None:
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        first = next(_read(file), None)
        file.seek(max(0, size_bytes - 2 * MAX_EVENT_BYTES))
        last = deque(_read(file), maxlen=1)
    if first is None:
        return None
    return Stream(
        name=unquote(path.name.removesuffix(_SUFFIX)),
        first_time_ms=first.time_ms,
        last_time_ms=(last[0] if last else first).time_ms,
        size_bytes=size_bytes,
    )
