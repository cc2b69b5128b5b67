"""Plain text and bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serving import codecs
from portside.serving.error import InvalidBodyError, PredictionFailedError

TEXT = "text/plain"
BYTES = "application/octet-stream"

UNICODE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"))


@given(UNICODE, st.sampled_from(["utf-8", "utf8", "utf-16", "utf-16le", "utf-16be"]))
def test_a_text_is_read_back(text: str, charset: str):
    content_type = f"text/plain; charset={charset}"

    assert codecs.decode(codecs.encode(text, content_type), content_type) == text


@given(st.text(st.characters(max_codepoint=255)))
def test_a_text_in_latin_1_is_read_back(text: str):
    content_type = "text/plain; charset=ISO-8859-1"
    body = codecs.encode(text, content_type)

    assert len(body) == len(text)
    assert codecs.decode(body, content_type) == text


@given(st.binary())
def test_bytes_are_read_back(body: bytes):
    assert codecs.encode(codecs.decode(body, BYTES), BYTES) == body


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("é", "é".encode()),
        ("", b""),
        (b"\xff", b"\xff"),
        (3, b"3"),
        (np.float32(0.1), b"0.1"),
        (float("nan"), b"nan"),
    ],
)
def test_what_is_a_text_is_written(value: object, written: bytes):
    assert codecs.encode(value, TEXT) == written


@pytest.mark.parametrize("value", [{"a": 1}, ["a"], None, "\ud800"])
def test_what_is_no_text_is_refused(value: object):
    with pytest.raises(PredictionFailedError, match="cannot write the result"):
        codecs.encode(value, TEXT)


def test_what_its_charset_lacks_is_refused():
    with pytest.raises(PredictionFailedError, match="in `us-ascii`"):
        codecs.encode("é", "text/plain; charset=us-ascii")


@pytest.mark.parametrize("value", ["text", 3, None, [b"a"]])
def test_what_is_not_bytes_is_refused(value: object):
    with pytest.raises(PredictionFailedError, match="as bytes"):
        codecs.encode(value, BYTES)


def test_views_are_bytes_too():
    assert codecs.encode(memoryview(b"ab"), BYTES) == codecs.encode(bytearray(b"ab"), BYTES)


@pytest.mark.parametrize(("body", "charset"), [(b"\xff", "utf-8"), (b"a", "utf-16")])
def test_what_is_not_in_its_charset_is_refused(body: bytes, charset: str):
    with pytest.raises(InvalidBodyError, match=f"not in `{charset}`"):
        codecs.decode(body, f"text/plain; charset={charset}")
