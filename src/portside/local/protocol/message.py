"""HTTP as values: what the gateway read, and what it will send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The head of a request exactly as it came: a signature covers the bytes on the wire.

    `path` and `query` are still percent-encoded (the query without its question mark);
    header names are in lower case, in the order sent, repeated where they were.
    `received_s` is when, on the clock `time.monotonic`; None where nobody looked.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    received_s: float | None = None

    def header(self, name: str) -> str | None:
        """The value of a header, repeated ones joined by commas; None where it was not sent."""
        values = [value for key, value in self.headers if key == name]
        return ",".join(values) if values else None


class Pieces(Protocol):
    """A body that comes in pieces, such as an async generator's."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces."""
        ...

    def aclose(self) -> Awaitable[None]:
        """Give up what it is made from; called at its end too, and where nobody wants it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer; a body of pieces is sent as they come."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Pieces = b""


class ClientGoneError(Exception):
    """The client closed the connection before it had sent its request."""
