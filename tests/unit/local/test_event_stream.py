"""Streamed answers as botocore reads them, with its own parser on the other end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from portside.local.protocol.event_stream import EventStream, encode_message
from portside.local.protocol.fault import Fault


@dataclass
class Parts:
    """Pieces, then a failure or the end."""

    pieces: list[bytes]
    failure: Exception = field(default_factory=StopAsyncIteration)
    is_closed: bool = False

    async def __anext__(self) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        raise self.failure

    async def aclose(self) -> None:
        self.is_closed = True


async def read(parts: Parts) -> list[tuple[dict[str, str], bytes]]:
    """Headers and payloads, as botocore finds them."""
    buffer = EventStreamBuffer()
    async for message in EventStream(parts, event="PayloadPart"):
        buffer.add_data(message)
    return [(event.headers, event.payload) for event in buffer]


async def test_each_piece_is_one_event() -> None:
    seen = await read(Parts([b"first", b"\x00\xff"]))

    assert [payload for _, payload in seen] == [b"first", b"\x00\xff"]
    assert seen[0][0] == {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
    }


async def test_an_answer_of_nothing_is_no_event() -> None:
    assert await read(Parts([])) == []


async def test_a_fault_on_the_way_is_the_last_message() -> None:
    fault = Fault("ModelStreamError", "cut", fields={"ErrorCode": "StreamBroken"})

    (_, first), (headers, payload) = await read(Parts([b"a"], fault))

    assert first == b"a"
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "ModelStreamError"
    assert json.loads(payload) == {"Message": "cut", "ErrorCode": "StreamBroken"}


async def test_a_bug_on_the_way_is_told_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [(headers, payload)] = await read(Parts([], RuntimeError("secret")))

    assert headers[":exception-type"] == "InternalStreamFailure"
    assert b"secret" not in payload
    assert "RuntimeError: secret" in caplog.text


async def test_to_close_it_unread_gives_its_parts_up() -> None:
    parts = Parts([b"a"])
    stream = EventStream(parts, event="PayloadPart")

    await stream.aclose()

    assert parts.is_closed
    assert [message async for message in stream] == []


_NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(headers=st.dictionaries(_NAMES, st.text(max_size=100), max_size=5), payload=st.binary())
def test_any_message_comes_back_as_it_was(headers: dict[str, str], payload: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode_message(headers, payload))

    [event] = buffer
    assert (event.headers, event.payload) == (headers, payload)
