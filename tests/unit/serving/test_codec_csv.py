"""CSV: columns of numbers and of text, headers, and what results become."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serving import codecs
from portside.serving.error import InvalidBodyError, PredictionFailedError

CSV = "text/csv"

# A column with one broken number in it is all floats, which hold whole numbers up to 2**53.
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
# The letter at the front keeps a text from being one that is a number, or a blank line.
TEXTS = st.text(st.characters(exclude_categories=["Cs"])).map("x{}".format)


@st.composite
def tables(draw: st.DrawFn) -> list[list[object]]:
    columns = draw(st.lists(st.sampled_from([NUMBERS, TEXTS]), min_size=1, max_size=4))
    return draw(st.lists(st.tuples(*columns).map(list), min_size=1, max_size=5))


@dataclass(frozen=True, slots=True)
class Scored:
    label: str
    score: object


class Label(Enum):
    PERSON = "PER"


@given(tables())
def test_a_table_is_read_back(rows: list[list[object]]):
    assert codecs.decode(codecs.encode(rows, CSV), CSV) == rows


@given(st.lists(st.fixed_dictionaries({"text": TEXTS, "x, y": NUMBERS}), min_size=1))
def test_records_are_read_back(rows: list[dict[str, object]]):
    body = codecs.encode(rows, CSV)

    assert codecs.decode(body, "text/csv; header=present") == rows


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"1,2\n3,4\n", [[1, 2], [3, 4]]),
        (b"1,2\r\n3,4.5", [[1, 2.0], [3, 4.5]]),
        (b"-1,+2, 3 ,1e3,.5\n", [[-1, 2, 3, 1000.0, 0.5]]),
        (b"a,1\nb,2\n", [["a", 1], ["b", 2]]),
        (b"1\nx\n", [["1"], ["x"]]),
        (b"height,weight\n180,75\n", [["height", "weight"], ["180", "75"]]),
        (b'"a,b",1\n"say ""hi""",2\n', [["a,b", 1], ['say "hi"', 2]]),
        (b'"two\nlines",1\n', [["two\nlines", 1]]),
        (b"1,2\n\n\n3,4\n", [[1, 2], [3, 4]]),
        (b"x,\n,y\n", [["x", ""], ["", "y"]]),
        (b"1_000\n", [["1_000"]]),
        ("\u0661\n".encode(), [["\u0661"]]),  # a one in Arabic
        ("é\u2028\x0b,1\n".encode(), [["é\u2028\x0b", 1]]),
        (b"\xef\xbb\xbf1,2\n", [[1, 2]]),  # as Excel writes it
    ],
)
def test_cells_are_numbers_where_their_whole_column_is(body: bytes, rows: list[list[object]]):
    read: Any = codecs.decode(body, CSV)

    assert read == rows
    assert [[type(cell) for cell in row] for row in read] == [
        [type(cell) for cell in row] for row in rows
    ]


def test_an_empty_cell_among_numbers_is_nan():
    assert repr(codecs.decode(b"1.5,,3\n2,,nan\n", CSV)) == "[[1.5, nan, 3.0], [2.0, nan, nan]]"


def test_a_header_makes_dicts():
    body = b"text,n\nhello,1\nbye,2\n"

    assert codecs.decode(body, 'text/csv; charset=utf-8; header="present"') == [
        {"text": "hello", "n": 1},
        {"text": "bye", "n": 2},
    ]
    assert codecs.decode(b"text,n\n", "text/csv; header=present") == []


def test_the_charset_is_heeded():
    assert codecs.decode("é,1\n".encode("utf-16"), "text/csv; charset=utf-16") == [["é", 1]]
    assert codecs.encode(["é"], "text/csv; charset=iso-8859-1") == b"\xe9\n"


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", CSV, "empty"),
        (b"\n\r\n", CSV, "empty"),
        (b"1,2\n3\n", CSV, "line 2 of the body has 1 cells, and the first has 2"),
        (b'1\n"a"b\n', CSV, "line 2 of the body is not CSV"),
        (b'"never closed', CSV, "not CSV"),
        (b"x" * 200_000, CSV, "field limit"),
        (b"," * 512 * 512, CSV, "has 262145 cells, and may have 262144"),
        (b"\xff", CSV, "not in `utf-8`"),
        (b"a,a\n1,2\n", "text/csv; header=present", "two columns have one name"),
    ],
)
def test_what_is_not_csv_is_refused(body: bytes, content_type: str, message: str):
    with pytest.raises(InvalidBodyError, match=message):
        codecs.decode(body, content_type)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ([[1, 0.5], [None, "a,b"]], '1,0.5\n,"a,b"\n'),
        (((1, True), (2, False)), "1,True\n2,False\n"),
        ([1, 2.5, "x"], "1\n2.5\nx\n"),
        (0.5, "0.5\n"),
        ("PER", "PER\n"),
        ([], ""),
        ([{"a": 1, "b": 2}, {"b": 3, "c": 4}], "a,b,c\n1,2,\n,3,4\n"),
        ({"a": 1}, "a\n1\n"),
        ([Scored("PER", np.float32(0.1))], "label,score\nPER,0.1\n"),
        (np.array([0.1, np.nan], dtype=np.float32), "0.1\nnan\n"),
        (np.array([[0.1, math.inf]]), "0.1,inf\n"),
        ([np.array([1, 2]), np.array([3, 4])], "1,2\n3,4\n"),
        (np.array([["a", 1.5]], dtype=object), "a,1.5\n"),
        (np.array(["2026-01-31"], dtype="M8[ns]"), "2026-01-31T00:00:00.000000000\n"),
        ([[Label.PERSON, Decimal("1.50"), date(2026, 1, 31)]], "PER,1.50,2026-01-31\n"),
        ([[datetime(2026, 1, 31, 12, 0)]], "2026-01-31T12:00:00\n"),  # noqa: DTZ001 - no zone
        ([[np.int8(1), np.bool_(True), np.str_("x")]], "1,True,x\n"),
    ],
)
def test_what_handlers_return_is_written(value: object, written: str):
    assert codecs.encode(value, CSV) == written.encode()


def test_the_header_can_be_left_out():
    assert codecs.encode([{"a": 1}], "text/csv; header=absent") == b"1\n"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": [1]}, "`list` does not go into a cell"),
        ([[{"a": 1}]], "`dict` does not go into a cell"),
        (np.zeros((2, 2, 2)), "`list` does not go into a cell"),
        ([b"x"], "`bytes` does not go into a cell"),
        ({1, 2}, "`set` does not go into a cell"),
        ([object], "`type` does not go into a cell"),
        ([[1], [1, 2]], "not of one length"),
        ([[1], 2], "not of one kind"),
        ([{"a": 1}, 2], "not of one kind"),
        (["\ud800"], "surrogates not allowed"),
    ],
)
def test_what_is_no_table_is_refused(value: object, reason: str):
    with pytest.raises(PredictionFailedError, match=reason):
        codecs.encode(value, CSV)
