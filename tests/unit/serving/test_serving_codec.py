"""Content types, `Accept`, and what JSON can and cannot hold."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serving import codec
from portside.serving.error import (
    InvalidBodyError,
    NotAcceptableError,
    PredictionFailedError,
    UnsupportedMediaTypeError,
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53), max_value=2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@dataclass(frozen=True, slots=True)
class Scored:
    score: float


class Tensor:
    """Stands for a torch tensor: all that is known of it is `tolist()`."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def tolist(self) -> Any:
        return self._values


@given(JSON_VALUES)
def test_what_is_written_is_read_back(value: object):
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(0.5), b"0.5"),
        (np.int64(7), b"7"),
        (np.arange(6).reshape(2, 3), b"[[0,1,2],[3,4,5]]"),
        (np.arange(6).reshape(2, 3).T, b"[[0,3],[1,4],[2,5]]"),
        (Tensor([1, 2]), b"[1,2]"),
        (Scored(0.25), b'{"score":0.25}'),
        ((1, None), b"[1,null]"),
        ({0: "zero"}, b'{"0":"zero"}'),
    ],
)
def test_what_handlers_return_is_written(value: object, written: bytes):
    assert codec.encode(value) == written


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (math.nan, "result"),
        ([{"score": 1.0}, {"score": math.inf}], "result[1]['score']"),
        (np.array([0.0, np.nan]), "result[1]"),
        ({"a": None, "b": np.float32("-inf")}, "result['b']"),
        ([Scored(math.nan)], "result[0]['score']"),
        (Tensor([[math.nan]]), "result[0][0]"),
    ],
)
def test_nan_is_refused_with_its_place(value: object, place: str):
    with pytest.raises(PredictionFailedError, match="NaN or infinite") as caught:
        codec.encode(value)

    assert f"`{place}`" in caught.value.message


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", 2**70, {"a": [object]}])
def test_what_json_lacks_is_refused(value: object):
    with pytest.raises(PredictionFailedError, match="cannot write the result"):
        codec.encode(value)


@pytest.mark.parametrize("body", [b"", b"{", b"{'a': 1}", b"[1,]", b"Infinity", b'"\\ud800"'])
def test_what_is_not_json_is_refused(body: bytes):
    with pytest.raises(InvalidBodyError):
        codec.decode(body)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
    ],
)
def test_json_by_its_content_type(header: str | None):
    codec.check_content_type(header)


@pytest.mark.parametrize(
    "header", ["text/csv", "application/jsonlines", "application/json; charset=latin-1", ";"]
)
def test_other_content_types_are_refused(header: str):
    with pytest.raises(UnsupportedMediaTypeError):
        codec.check_content_type(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "*/*",
        "application/json",
        "application/*;q=0.1",
        "text/csv, application/json; q=0.5",
        "text/html,*/*;q=0.8",
    ],
)
def test_json_is_acceptable(header: str | None):
    codec.check_accept(header)


@pytest.mark.parametrize(
    "header",
    ["text/csv", "application/json;q=0", "application/json;q=0, */*", "*/*;q=zero", "text/*"],
)
def test_json_is_not_acceptable(header: str):
    with pytest.raises(NotAcceptableError):
        codec.check_accept(header)


def test_the_answer_is_utf_8_not_escapes():
    assert codec.encode("é") == '"é"'.encode()
    assert json.loads(codec.encode("é")) == "é"
