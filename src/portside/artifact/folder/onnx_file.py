"""What an ONNX graph tells of itself, read out of the file without onnx.

A graph is one protobuf message, whose weights may lie in files beside it. Of the
message only what leads to the names of those files, and to the outputs, is looked into:

    model ─7─▶ graph ─5─▶ initializer ─13─▶ external data: location, offset, length
                ├─1─▶ node ─5─▶ attribute ─▶ a tensor or another graph
                └12─▶ output ─▶ its name, its shape

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. onnx itself takes
half a second to import and reads a graph of gigabytes as a whole.
"""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from portside.artifact.folder.protobuf import BrokenMessageError, Span, fields, integers
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
_OUTPUT: Final = 12

_NAME: Final = 1
_DIMENSIONS: Final = (2, 1, 2, 1)
"""From an output to its dimensions: its type, that of a tensor, the shape, each dimension."""
_DIMENSION: Final = 1
"""Of a dimension that is fixed."""

_HINT: Final = "copy or export the graph again, and compare its size with the original's"


def read_external_data(path: Path) -> dict[str, int]:
    """Where the weights outside the graph lie: each file, by its path from the graph's folder.

    The value is how many bytes it has to have at least. Raises `BuildError` for a
    file that is truncated or no ONNX graph.
    """
    with _opened(path) as data:
        return _largest(_locations(data, (0, len(data)), "model"))


def read_output_width(path: Path, name: str) -> int | None:
    """The last dimension of an output; None where the graph has no such one, or leaves it open.

    Raises `BuildError` as `read_external_data` does.
    """
    with _opened(path) as data:
        for graph in _within(data, (0, len(data)), (_GRAPH,)):
            for output in _within(data, graph, (_OUTPUT,)):
                if _text(data, output, _NAME) == name:
                    return _last_dimension(data, output)
    return None


@contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    if path.stat().st_size == 0:
        raise BuildError(f"cannot read `{path}`: the file is empty", hint=_HINT)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            # By chance the bytes of another file may make a message, but none with a graph.
            if not list(_within(data, (0, len(data)), (_GRAPH,))):
                raise BrokenMessageError  # noqa: TRY301 - one wording for all
            yield data
        except (BrokenMessageError, ValueError, RecursionError) as error:
            raise BuildError(
                f"cannot read `{path}`: it is truncated, or no ONNX graph", hint=_HINT
            ) from error


def _within(data: mmap.mmap, span: Span, path: Sequence[int]) -> Iterator[Span]:
    """The messages that the numbers lead to, one in the other."""
    if not path:
        yield span
        return
    for number, content in fields(data, span):
        if number == path[0]:
            yield from _within(data, content, path[1:])


def _text(data: mmap.mmap, span: Span, wanted: int) -> str:
    found = [content for number, content in fields(data, span) if number == wanted]
    return data[slice(*found[-1])].decode() if found else ""


def _last_dimension(data: mmap.mmap, output: Span) -> int | None:
    dimensions = list(_within(data, output, _DIMENSIONS))
    if not dimensions:
        return None
    return next((value for key, value in integers(data, dimensions[-1]) if key == _DIMENSION), None)


def _largest(found: Iterator[tuple[str, int]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for location, size in found:
        sizes[location] = max(size, sizes.get(location, 0))
    return sizes


def _locations(data: mmap.mmap, span: Span, kind: str) -> Iterator[tuple[str, int]]:
    """Location and size of each tensor outside, from within one message."""
    if kind == "tensor":
        found = _within(data, span, (_EXTERNAL_DATA,))
        entries = {_text(data, entry, 1): _text(data, entry, 2) for entry in found}
        if "location" in entries:
            size = int(entries.get("offset", "0")) + int(entries.get("length", "0"))
            yield entries["location"], size
        return
    children = _CHILDREN[kind]
    for number, content in fields(data, span):
        if number in children:
            yield from _locations(data, content, children[number])
