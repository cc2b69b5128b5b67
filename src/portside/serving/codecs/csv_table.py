"""CSV (RFC 4180): a table, one row a line.

Read: a list of rows, each a list, or with `header=present` a dict by the names in the first
line. A column is numbers if every cell in it is one: integers, or else floats, with NaN for
an empty cell. Any other column is text, as it stands. A line without `header=present` is
data, whatever it looks like.

Written: rows with lists, dicts (their keys are the first line, unless `header=absent` is
asked for), arrays of one or two dimensions. A flat list is a column, because the answer
to several rows has a line for each. None is an empty cell; NaN is `nan`, which CSV can hold.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from portside.serving.codecs import charset, npy
from portside.serving.codecs.media_type import MediaType
from portside.serving.codecs.result import plain
from portside.serving.error import InvalidBodyError, PredictionFailedError

HEADER_VALUES: Final = frozenset({"present", "absent"})
"""Of the parameter `header` (RFC 4180, section 3)."""

_MAX_COLUMNS: Final = 512 * 512
"""An image, flattened. Each column is looked at by itself, so a few megabytes of nothing but
commas would take half a minute."""

Row = list[object] | dict[str, object]


def read(body: bytes, media_type: MediaType) -> list[Row]:
    """The rows; lines that are empty are passed over."""
    lines = _split(charset.decode(body, media_type.charset))
    if not lines:
        raise InvalidBodyError("the body is empty; send a row a line")
    header = lines.pop(0) if media_type.parameters.get("header") == "present" else None
    rows = _typed(lines)
    if header is None:
        return [*rows]
    if len(set(header)) < len(header):
        raise InvalidBodyError("the body is not CSV with a header: two columns have one name")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _split(text: str) -> list[list[Any]]:
    """The lines as cells of text, all of them as many."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[list[Any]] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) > _MAX_COLUMNS:
                raise InvalidBodyError(
                    f"line {reader.line_num} of the body has {len(cells)} cells, "
                    f"and may have {_MAX_COLUMNS}"
                )
            if lines and len(cells) != len(lines[0]):
                raise InvalidBodyError(
                    f"line {reader.line_num} of the body has {len(cells)} cells, "
                    f"and the first has {len(lines[0])}"
                )
            lines.append(cells)
    except csv.Error as error:
        raise InvalidBodyError(f"line {reader.line_num} of the body is not CSV: {error}") from error
    return lines


def _typed(lines: list[list[Any]]) -> list[list[object]]:
    """The same lists, with numbers in those columns that are numbers."""
    for index in range(len(lines[0]) if lines else 0):
        numbers = _numbers([line[index] for line in lines])
        if numbers is not None:
            for line, number in zip(lines, numbers, strict=True):
                line[index] = number
    return lines


def _numbers(column: list[str]) -> list[int] | list[float] | None:
    """The cells of a column as numbers; None if it is text."""
    text = "".join(column)
    # Python also takes `1_000` and the digits of all scripts; whoever wrote those meant text.
    if "_" in text or not text.isascii():
        return None
    try:
        return [int(cell) for cell in column]
    except ValueError:
        pass
    try:
        return [float(cell) if cell else math.nan for cell in column]
    except ValueError:
        return None


# --- Writing --------------------------------------------------------------------

_WRITTEN_WELL: Final = frozenset({type(None), str, int, float, bool})
"""Types whose values the csv module writes as they should be."""


def write(value: object, media_type: MediaType) -> bytes:
    """A result that is a table, a column, or one cell."""
    try:
        header, rows = _table(value)
        lines = _Lines()
        writer = csv.writer(lines)
        if header is not None and media_type.parameters.get("header") != "absent":
            writer.writerow(header)
        writer.writerows(rows)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionFailedError(f"cannot write the result as CSV: {error}") from error
    return charset.encode("".join(lines), media_type.charset)


class _Lines(list[str]):
    """What a writer has written, each line ended as AWS's toolkits do.

    A writer told to end lines so would leave carriage returns in a cell unquoted, up to
    Python 3.12, and nobody could read the line.
    """

    def write(self, line: str) -> None:
        """Called by the writer, once a row."""
        self.append(line.removesuffix("\r\n") + "\n")


def _table(value: object) -> tuple[Iterable[str] | None, Iterable[Sequence[object]]]:
    """The header, if there is one, and the rows of cells."""
    opened = _opened(value)
    rows = [_opened(row) for row in opened] if isinstance(opened, list) else [opened]
    records = [row for row in rows if isinstance(row, Mapping)]
    lists = [row for row in rows if isinstance(row, list)]
    if max(len(records), len(lists)) not in {0, len(rows)}:
        raise ValueError("its rows are not of one kind")
    if records:
        # The keys of all rows, in the order in which they appear.
        names = dict.fromkeys(name for row in records for name in row)
        return map(str, names), [_cells(row.get(name) for name in names) for row in records]
    if len({len(row) for row in lists}) > 1:
        raise ValueError("its rows are not of one length")
    return None, [_cells(row) for row in lists or ([row] for row in rows)]


def _opened(value: object) -> object:
    """A table or a row as a list or a mapping; a cell as it is."""
    if isinstance(value, str | int | float | Mapping | Enum | Decimal):
        return value
    if isinstance(value, list | tuple):
        return list(value)
    if hasattr(value, "tolist"):
        return _listed(value)
    try:
        return plain(value)
    except TypeError:
        return value


def _listed(value: object) -> object:
    """An array as lists, with a float32 as the text that numpy writes: Python's would be longer."""
    try:
        array = npy.as_array(value)
    except TypeError:  # objects, each of which is told by its own type
        return plain(value)
    is_exact = array.dtype.kind in "biu" or array.dtype == float
    return (array if is_exact else array.astype(str)).tolist()


def _cells(row: Iterable[object]) -> list[object]:
    return [cell if type(cell) in _WRITTEN_WELL else _cell(cell) for cell in row]


def _cell(value: object) -> object:
    """A value of another type as one of those."""
    match value:
        case Enum():
            return _cell(value.value)
        case None | str() | int() | float():
            return value
        case Decimal() | UUID():
            return str(value)
        case date() | time():
            return value.isoformat()
    if hasattr(value, "tolist"):
        return _cell(_listed(value))
    raise TypeError(f"`{type(value).__name__}` does not go into a cell")
