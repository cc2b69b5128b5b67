"""The fields of a protobuf message, without its schema and without reading what is not asked for.

Encoding: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

Span = tuple[int, int]
"""First byte of a field's content, and the one behind its last."""


class _Wire(IntEnum):
    """How a field is written; 3 and 4 are older than ONNX."""

    VARINT = 0
    EIGHT_BYTES = 1
    LENGTH_DELIMITED = 2
    FOUR_BYTES = 5


_LONGEST_VARINT: Final = 10


class BrokenMessageError(Exception):
    """Bytes that are no message."""


def fields(data: mmap.mmap, span: Span) -> Iterator[tuple[int, Span]]:
    """Number and content of each field of a message that has a length."""
    return ((number, value) for number, value in _fields(data, span) if isinstance(value, tuple))


def integers(data: mmap.mmap, span: Span) -> Iterator[tuple[int, int]]:
    """Number and value of each field that is an integer."""
    return ((number, value) for number, value in _fields(data, span) if isinstance(value, int))


def _fields(data: mmap.mmap, span: Span) -> Iterator[tuple[int, Span | int]]:
    """What has neither a length nor an integer's form is passed over."""
    position, end = span
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        found: Span | int | None = None
        match wire_type:
            case _Wire.VARINT:
                found, position = _varint(data, position)
            case _Wire.EIGHT_BYTES:
                position += 8
            case _Wire.LENGTH_DELIMITED:
                length, begin = _varint(data, position)
                position = begin + length
                found = (begin, position)
            case _Wire.FOUR_BYTES:
                position += 4
            case _:
                raise BrokenMessageError
        if position > end or number == 0:
            raise BrokenMessageError
        if found is not None:
            yield number, found


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and where it ends."""
    value = 0
    for count, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position + count + 1
    raise BrokenMessageError
