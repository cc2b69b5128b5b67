"""Answers that come in events: `application/vnd.amazon.eventstream`, one message for each.

    ┌ total length ┬ headers length ┬ CRC of both ┬ headers ┬ payload ┬ CRC of all before ┐
      4 bytes        4                4             …         …         4, all big-endian

    part ─▶ event ─▶ …     the end ─▶ nothing     Fault ─▶ exception, then nothing

Source: Smithy specification, "Amazon Event Stream"; what botocore's own reader takes.
"""

from __future__ import annotations

import json
import logging
import struct
from binascii import crc32
from typing import TYPE_CHECKING, Final, Protocol, Self

from portside.local.protocol.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"

_STRING: Final = 7
"""Type of a header's value. Smithy, "Amazon Event Stream", header value types."""
_FRAME_BYTES: Final = 16
"""Of a message without headers and payload."""
_UNKNOWN: Final = "InternalStreamFailure"
"""For what is a bug of ours. BC ResponseStream."""

_log = logging.getLogger(__name__)


class Parts(Protocol):
    """What a service answers piece by piece: an async generator of bytes.

    It raises a `Fault` for what goes wrong on the way.
    """

    def __anext__(self) -> Awaitable[bytes]:
        """The next piece."""
        ...

    def aclose(self) -> Awaitable[None]:
        """Give up whatever it holds."""
        ...


class EventStream:
    """The messages of an answer whose parts are the payloads of one kind of event.

    No generator: one that nobody began to read is not told when it is closed, and the
    parts would go on holding their instance.
    """

    def __init__(self, parts: Parts, *, event: str) -> None:
        self._parts = parts
        self._headers = {
            ":message-type": "event",
            ":event-type": event,
            ":content-type": "application/octet-stream",
        }
        self._is_over = False

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """The next message."""
        if self._is_over:
            raise StopAsyncIteration
        try:
            return encode_message(self._headers, await anext(self._parts))
        except StopAsyncIteration:
            self._is_over = True
            raise
        except Fault as fault:
            refused = fault
        except Exception:  # noqa: BLE001  the head is sent: an event is all that can still tell
            _log.exception("a bug in the middle of a streamed answer")
            refused = Fault(_UNKNOWN, "The stream processing failed. Try your request again.")
        self._is_over = True
        return _encode_exception(refused)

    async def aclose(self) -> None:
        """End it wherever it is."""
        self._is_over = True
        await self._parts.aclose()


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message; all of its headers are strings."""
    head = b"".join(_encode_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", _FRAME_BYTES + len(head) + len(payload), len(head))
    message = b"".join((prelude, struct.pack("!I", crc32(prelude)), head, payload))
    return message + struct.pack("!I", crc32(message))


def _encode_exception(fault: Fault) -> bytes:
    headers = {
        ":message-type": "exception",
        ":exception-type": fault.code,
        ":content-type": "application/json",
    }
    return encode_message(headers, json.dumps({"Message": fault.message, **fault.fields}).encode())


def _encode_header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", _STRING, len(text)) + text
