"""What a program or library says about itself: its processor, and the libraries that it needs.

Source: the System V ABI, "Object Files" and "Dynamic Linking"; <elf.h>. Files that are cut short or
lie about their insides count as ones that say nothing: whoever loads them will refuse them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

HEADER_BYTES: Final = 64
TABLE_BYTES: Final = 1024 * 1024
"""Most of a table that is read: dynamic sections have some kilobytes, of names too."""

_MAGIC: Final = b"\x7fELF"
_LITTLE_64: Final = b"\x02\x01"
"""ELFCLASS64, ELFDATA2LSB: both of our platforms."""

_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
_DYNAMIC_ENTRY: Final = struct.Struct("<qQ")
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5


def machine_of(head: bytes) -> int | None:
    """The processor, `e_machine`, by a file's first bytes; None for what is no ELF file."""
    if len(head) < 20 or not head.startswith(_MAGIC):
        return None
    return int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")


def needed_by(path: Path) -> tuple[str, ...]:
    """The libraries that the linker has to find before `path` can be used, by name."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        if not head.startswith(_MAGIC + _LITTLE_64):
            return ()
        try:
            return tuple(_needed(file, head))
        except (struct.error, OverflowError, ValueError):
            return ()


def _needed(file: BinaryIO, head: bytes) -> Iterator[str]:
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    table = _read(file, offset, size * count)
    segments = [_PROGRAM_HEADER.unpack_from(table, size * n) for n in range(count)]
    dynamic = b"".join(_read(file, s[2], s[5]) for s in segments if s[0] == _PT_DYNAMIC)
    whole = dynamic[: len(dynamic) // _DYNAMIC_ENTRY.size * _DYNAMIC_ENTRY.size]
    entries = list(_DYNAMIC_ENTRY.iter_unpack(whole))
    names = b""
    for address in (value for tag, value in entries if tag == _DT_STRTAB):
        for kind, _, place, start, _, length, _, _ in segments:
            if kind == _PT_LOAD and start <= address < start + length:
                names = _read(file, place + address - start, TABLE_BYTES)
    for tag, value in entries:
        if tag == _DT_NULL:
            return
        if tag == _DT_NEEDED and value < len(names):
            yield names[value : names.index(b"\0", value)].decode("ascii", "replace")


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    if offset > os.fstat(file.fileno()).st_size:
        return b""
    file.seek(offset)
    return file.read(min(size, TABLE_BYTES))
