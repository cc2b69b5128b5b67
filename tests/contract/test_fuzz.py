"""No input gives 500, or ends the process: bodies of all sorts, and bytes that are not HTTP."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.instance import GOOD_BODY, SENTENCE
from tests.contract.wire import Target, WireError, request_bytes

ANSWERED_S: Final = 0.05
"""For the answer to bytes that may never get one."""

fuzz = settings(max_examples=150, deadline=None, database=None)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, inputs=np.array([SENTENCE]), other=np.eye(3))
    return file.getvalue()


SEEDS: Final = (
    GOOD_BODY,
    json.dumps({"inputs": [SENTENCE], "parameters": {"aggregation_strategy": "max"}}).encode(),
    json.dumps({"inputs": SENTENCE}).encode() + b"\n" + GOOD_BODY,
    f'text,other\n"{SENTENCE}",1.5\n'.encode(),
    _npy(np.array([SENTENCE, "b"])),
    _npy(np.arange(12, dtype=np.float16).reshape(3, 4)),
    _npz(),
    SENTENCE.encode("utf-16"),
)
"""Bodies that can be read; what is nearly right goes deeper than what is noise."""

TYPES: Final = (
    "application/json",
    "application/jsonlines",
    "text/csv",
    "text/csv; charset=utf-16",
    "text/plain; charset=latin-1",
    "application/x-npy",
    "application/x-npz",
    "application/octet-stream",
    "image/png",
    "*/*",
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=12,
)


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with a few of its bytes cut out, put in or changed."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 8))
        data[at : at + length] = draw(st.binary(max_size=8))
    return bytes(data)


bodies = st.one_of(
    st.binary(max_size=200),
    mutated(SEEDS),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda key, value, parameters: json.dumps({key: value, "parameters": parameters}).encode(),
        st.sampled_from(["inputs", "strings"]),
        json_values,
        json_values,
    ),
)

header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)
media_types = st.sampled_from(TYPES) | header_values | st.just("")


@pytest.mark.should
@fuzz
@given(body=bodies, content_type=media_types, accept=media_types)
def test_no_body_and_no_type_is_a_500(target: Target, body: bytes, content_type: str, accept: str):
    answer = target.invoke(body, Content_Type=content_type, Accept=accept)

    assert answer.status < 500, answer.text
    assert "Traceback" not in answer.text


REQUESTS: Final = (
    request_bytes("GET", "/ping"),
    request_bytes("POST", "/invocations", headers={"Content-Type": "a/b"}, body=GOOD_BODY),
    request_bytes("POST", "/invocations", headers={"Transfer-Encoding": "chunked"})
    + b"3\r\n{}\n\r\n0\r\nX-Trailer: a\r\n\r\n",
    request_bytes("HEAD", "/ping", headers={"Expect": "100-continue", "Connection": "close"}),
    request_bytes("CONNECT", "a:1", headers={"Upgrade": "websocket", "Connection": "upgrade"}),
)


@pytest.mark.should
@fuzz
@given(data=st.binary(max_size=100) | mutated(REQUESTS))
def test_no_bytes_on_a_connection_harm_the_server(target: Target, data: bytes):
    with target.connect() as wire:
        wire.socket.settimeout(ANSWERED_S)
        with suppress(TimeoutError, WireError, ConnectionResetError, BrokenPipeError):
            wire.send(data)
            assert wire.read_head().status != 500

    assert target.ping().status == 200
