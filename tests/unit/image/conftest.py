"""A library that says what it needs."""

from __future__ import annotations

import struct

import pytest


@pytest.fixture
def elf_with_needs() -> bytes:
    """For x86-64: needs `libstdc++.so.6`, `libm.so.6` and `libown.so`."""
    names = b"\0libstdc++.so.6\0libm.so.6\0libown.so\0"
    needed = [names.index(name) for name in (b"libstdc", b"libm", b"libown")]
    header_bytes, segment_bytes = 64, 56
    table = header_bytes + 2 * segment_bytes
    dynamic = b"".join(struct.pack("<qQ", 1, offset) for offset in needed)
    dynamic += struct.pack("<qQ", 5, 0x1000) + struct.pack("<qQ", 0, 0)
    end = table + len(names)
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack(
            "<HHIQQQIHHHHHH",
            3,
            62,
            1,
            0,
            header_bytes,
            0,
            0,
            header_bytes,
            segment_bytes,
            2,
            0,
            0,
            0,
        )
    )
    load = struct.pack("<IIQQQQQQ", 1, 4, table, 0x1000, 0, len(names), len(names), 4096)
    dynamics = struct.pack("<IIQQQQQQ", 2, 4, end, 0x2000, 0, len(dynamic), len(dynamic), 8)
    return head + load + dynamics + names + dynamic
