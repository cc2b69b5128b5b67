"""Which files an ONNX graph keeps its weights in, read out of the graph without onnx.

A graph is one protobuf message, whose weights may lie in files beside it. Of the
message only what leads to those files is looked into:

    model ─7─▶ graph ─5─▶ initializer ─13─▶ external data: location, offset, length
                └─1─▶ node ─5─▶ attribute ─▶ a tensor or another graph

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; encoding:
https://protobuf.dev/programming-guides/encoding. onnx itself takes half a second
to import and reads a graph of gigabytes as a whole.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHILDREN: Final = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
}
"""The messages to look into, by the number that they have in the one around them."""

_EXTERNAL_DATA: Final = 13
"""Of a tensor: entries of a key and a value."""
_GRAPH: Final = 7


class _Wire(IntEnum):
    """How a field is written; 3 and 4 are older than ONNX."""

    VARINT = 0
    EIGHT_BYTES = 1
    LENGTH_DELIMITED = 2
    FOUR_BYTES = 5


_LONGEST_VARINT: Final = 10

_Span = tuple[int, int]
"""First byte of a field's content, and the one behind its last."""


class _BrokenMessageError(Exception):
    pass


def read_external_data(path: Path) -> dict[str, int]:
    """Where the weights outside the graph lie: each file, by its path from the graph's folder.

    The value is how many bytes it has to have at least. Raises `BuildError` for a
    file that is truncated or no ONNX graph.
    """
    if path.stat().st_size == 0:
        raise BuildError(f"cannot read `{path}`: the file is empty", hint=_HINT)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            _check_graph(data)
            return _largest(_locations(data, (0, len(data)), "model"))
        except (_BrokenMessageError, ValueError, RecursionError) as error:
            raise BuildError(
                f"cannot read `{path}`: it is truncated, or no ONNX graph", hint=_HINT
            ) from error


_HINT: Final = "copy or export the graph again, and compare its size with the original's"


def _check_graph(data: mmap.mmap) -> None:
    """By chance the bytes of another file may make a message, but none with a graph."""
    if all(number != _GRAPH for number, _ in _fields(data, (0, len(data)))):
        raise _BrokenMessageError


def _largest(found: Iterator[tuple[str, int]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for location, size in found:
        sizes[location] = max(size, sizes.get(location, 0))
    return sizes


def _locations(data: mmap.mmap, span: _Span, kind: str) -> Iterator[tuple[str, int]]:
    """Location and size of each tensor outside, from within one message."""
    if kind == "tensor":
        entries = dict(
            _entry(data, content)
            for number, content in _fields(data, span)
            if number == _EXTERNAL_DATA
        )
        if "location" in entries:
            size = int(entries.get("offset", "0")) + int(entries.get("length", "0"))
            yield entries["location"], size
        return
    children = _CHILDREN[kind]
    for number, content in _fields(data, span):
        if number in children:
            yield from _locations(data, content, children[number])


def _entry(data: mmap.mmap, span: _Span) -> tuple[str, str]:
    fields = dict(_fields(data, span))
    key, value = (data[slice(*fields.get(number, (0, 0)))].decode() for number in (1, 2))
    return key, value


def _fields(data: mmap.mmap, span: _Span) -> Iterator[tuple[int, _Span]]:
    """Number and content of each field of a message that has a length."""
    position, end = span
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        content = position
        match wire_type:
            case _Wire.VARINT:
                _, position = _varint(data, position)
            case _Wire.EIGHT_BYTES:
                position += 8
            case _Wire.LENGTH_DELIMITED:
                length, content = _varint(data, position)
                position = content + length
            case _Wire.FOUR_BYTES:
                position += 4
            case _:
                raise _BrokenMessageError
        if position > end or number == 0:
            raise _BrokenMessageError
        if wire_type == _Wire.LENGTH_DELIMITED:
            yield number, (content, position)


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and where it ends."""
    value = 0
    for count, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position + count + 1
    raise _BrokenMessageError
