"""A table for people that is readable at any width.

    fits ─▶ side by side, a line a row
    else ─▶ stacked: a block a row, its first cell on top

What stands `below` a row is a text too long for a column, such as a reason. Where no width is
given, as in a pipe, a row is always one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

_GAP: Final = "  "
_INDENT: Final = "    "


def layout(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    below: Sequence[str] = (),
    width: int | None,
) -> list[Text]:
    """The lines, headings in bold; a column with nothing in it is left out.

    `below` has a text for each row, empty for none; `width` is in terminal cells.
    """
    shown = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    names = [columns[at] for at in shown]
    kept = [[row[at] for at in shown] for row in rows]
    texts = list(below) or [""] * len(rows)
    widths = [max(map(cell_len, cells)) for cells in zip(names, *kept, strict=True)]
    if width is None or sum(widths) + len(_GAP) * (len(widths) - 1) <= width:
        return _side_by_side(names, kept, widths=widths, below=texts, width=width)
    return _stacked(names, kept, below=texts, width=width)


def fill(text: str, *, width: int | None, first: str = "", indent: str = _INDENT) -> list[str]:
    """A text over as many lines as it needs, cut after blanks and after `/`.

    `first` begins the first line, `indent` the others.
    """
    if width is None:
        return [first + text]
    lines, start, line = [], first, ""
    for piece in re.split(r"(?<=[ /])(?=[^ /])", text):
        if line and cell_len(start + line + piece.rstrip()) > width:
            lines.append((start + line).rstrip())
            start, line = indent, ""
        line += piece
    return [*lines, (start + line).rstrip()]


def _side_by_side(
    names: list[str],
    rows: list[list[str]],
    *,
    widths: list[int],
    below: list[str],
    width: int | None,
) -> list[Text]:
    lines = [Text(_joined(names, widths), "bold")]
    for row, text in zip(rows, below, strict=True):
        lines.append(Text(_joined(row, widths)))
        if text:
            lines += map(Text, fill(text, width=width, first=_INDENT))
    return lines


def _joined(cells: list[str], widths: list[int]) -> str:
    padded = (
        cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return _GAP.join(padded).rstrip()


def _stacked(
    names: list[str], rows: list[list[str]], *, below: list[str], width: int
) -> list[Text]:
    return [
        line
        for row, text in zip(rows, below, strict=True)
        for line in _block(names, row, below=text, width=width)
    ]


def _block(names: list[str], row: list[str], *, below: str, width: int) -> Iterator[Text]:
    longest = max(map(cell_len, names))
    yield Text(row[0].lstrip() or names[0], "bold")
    for name, cell in zip(names[1:], row[1:], strict=True):
        if cell:
            label = _GAP + name + " " * (longest - cell_len(name)) + _GAP
            yield from map(Text, fill(cell, width=width, first=label, indent=" " * cell_len(label)))
    if below:
        yield from map(Text, fill(below, width=width, first=_GAP))
