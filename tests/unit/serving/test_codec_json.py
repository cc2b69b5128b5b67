"""JSON and JSON lines: both ends, what handlers return, and what becomes of NaN."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serving import codecs
from portside.serving.error import InvalidBodyError, PredictionFailedError

JSON = "application/json"
LINES = "application/jsonlines"

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53), max_value=2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


@dataclass(frozen=True, slots=True)
class Scored:
    score: float


class Label(Enum):
    PERSON = "PER"


class Pair(NamedTuple):
    label: str
    score: float


class Word(msgspec.Struct, rename="camel"):
    start_at: int


class Model:
    """Stands for a pydantic model."""

    def model_dump(self) -> dict[str, object]:
        return {"score": 0.5}


class Listed:
    """Stands for a pandas series: all that is known of it is `tolist()`."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def tolist(self) -> Any:
        return self._values


class Tensor:
    """Stands for a torch tensor of float32, somewhere on a GPU."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Any:
        return np.array(self._values, dtype=np.float32)

    def tolist(self) -> Any:
        return self.cpu().tolist()


class BrainFloat(Tensor):
    """One of a type that numpy lacks."""

    def cpu(self) -> Any:
        return self

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("Got unsupported ScalarType BFloat16")

    def tolist(self) -> Any:
        return self._values


@given(JSON_VALUES)
def test_json_is_read_back(value: object):
    assert codecs.decode(codecs.encode(value, JSON), JSON) == value


@given(st.lists(JSON_VALUES, min_size=1))
def test_json_lines_are_read_back(values: list[object]):
    body = codecs.encode(values, LINES)

    assert codecs.decode(body, LINES) == values
    assert body.count(b"\n") == len(values)


@pytest.mark.parametrize("charset", ["utf-8", "us-ascii", "latin-1", "utf-16", "utf-16le"])
@pytest.mark.parametrize("content_type", [JSON, LINES])
def test_json_in_another_charset(charset: str, content_type: str):
    text = '["a"]' if charset == "us-ascii" else '["é"]'
    value = codecs.decode(text.encode(charset), f"{content_type}; charset={charset}")

    assert value == (json.loads(text) if content_type == JSON else [json.loads(text)])


def test_a_byte_order_mark_is_passed_over():
    assert codecs.decode(b"\xef\xbb\xbf[1]", JSON) == [1]
    assert codecs.decode(b"\xef\xbb\xbf[1]", LINES) == [[1]]


def test_the_answer_is_utf_8_not_escapes():
    assert codecs.encode("é", JSON) == '"é"'.encode()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(0.1), b"0.1"),
        (np.float64(0.5), b"0.5"),
        (np.int64(7), b"7"),
        (np.bool_(True), b"true"),
        (np.array(0.5), b"0.5"),
        (np.arange(6).reshape(2, 3), b"[[0,1,2],[3,4,5]]"),
        (np.arange(6).reshape(2, 3).T, b"[[0,3],[1,4],[2,5]]"),
        (np.array(["a", "b"]), b'["a","b"]'),
        (np.array(["a", 1], dtype=object), b'["a",1]'),
        (Listed([1, 2]), b"[1,2]"),
        (Tensor([[0.1]]), b"[[0.1]]"),
        (Tensor(0.1), b"0.1"),
        (BrainFloat([0.5]), b"[0.5]"),
        ([{"score": np.float32(0.25)}], b'[{"score":0.25}]'),
        (Scored(0.25), b'{"score":0.25}'),
        (Word(start_at=3), b'{"startAt":3}'),
        (Model(), b'{"score":0.5}'),
        (Label.PERSON, b'"PER"'),
        (Decimal("1.5"), b"1.5"),
        (date(2026, 1, 31), b'"2026-01-31"'),
        (Pair("PER", 1), b'["PER",1]'),
        ((1, None), b"[1,null]"),
        ({0: "zero"}, b'{"0":"zero"}'),
    ],
)
def test_what_handlers_return_is_written(value: object, written: bytes):
    assert codecs.encode(value, JSON) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ([{"a": 1}, [2]], b'{"a":1}\n[2]\n'),
        (({"a": None},), b'{"a":null}\n'),
        (np.array([[0.1], [2]], dtype=np.float32), b"[0.1]\n[2.0]\n"),
        (np.array(7), b"7\n"),
        ({"a": [1, 2]}, b'{"a":[1,2]}\n'),
        ("one\ntwo", b'"one\\ntwo"\n'),
        ([], b""),
    ],
)
def test_a_list_is_written_line_by_line(value: object, written: bytes):
    assert codecs.encode(value, LINES) == written


@pytest.mark.parametrize("content_type", [JSON, LINES])
@pytest.mark.parametrize(
    ("value", "place"),
    [
        (math.nan, "result"),
        ([{"score": 1.0}, {"score": math.inf}], "result[1]['score']"),
        (np.array([0.0, np.nan]), "result[1]"),
        ({"a": None, "b": np.float32("-inf")}, "result['b']"),
        ([Scored(math.nan)], "result[0]['score']"),
        ([date(2026, 1, 1), Decimal("NaN")], "result[1]"),
        (Listed([[math.nan]]), "result[0][0]"),
        (Tensor([1, math.nan]), "result[1]"),
    ],
)
def test_nan_is_refused_with_its_place(value: object, place: str, content_type: str):
    with pytest.raises(PredictionFailedError, match="NaN or infinite") as caught:
        codecs.encode(value, content_type)

    assert f"`{place}`" in caught.value.message


def test_a_null_is_not_taken_for_nan_however_deep_it_lies():
    value: object = None
    for _ in range(250):
        value = [value]

    assert codecs.encode(value, JSON) == b"[" * 250 + b"null" + b"]" * 250


@pytest.mark.parametrize("content_type", [JSON, LINES])
@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", 2**70, "\ud800", {"a": [object]}, {"a": np.ndarray}]
)
def test_what_json_lacks_is_refused(value: object, content_type: str):
    with pytest.raises(PredictionFailedError, match="cannot write the result as JSON"):
        codecs.encode(value, content_type)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{'a': 1}", b"[1,]", b"Infinity", b'"\\ud800"', b"\xff", b"[" * 5000]
)
def test_what_is_not_json_is_refused(body: bytes):
    with pytest.raises(InvalidBodyError):
        codecs.decode(body, JSON)


def test_blank_lines_are_passed_over():
    assert codecs.decode(b'{"a": 1}\r\n\r\n \n[2]', "application/x-ndjson") == [{"a": 1}, [2]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"1\n{\n", "line 2"),
        (b"1\n\n2 3", "line 3"),
    ],
)
def test_a_wrong_line_is_named(body: bytes, message: str):
    with pytest.raises(InvalidBodyError, match=message):
        codecs.decode(body, "application/jsonl")
