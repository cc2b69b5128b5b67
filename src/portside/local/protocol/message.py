"""HTTP as values: what the gateway read, and what it will send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The head of a request exactly as it came: a signature covers the bytes on the wire.

    `path` and `query` are still percent-encoded (the query without its question mark);
    header names are in lower case, in the order sent, repeated where they were.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        """The value of a header, repeated ones joined by commas; None where it was not sent."""
        values = [value for key, value in self.headers if key == name]
        return ",".join(values) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer; a body that is an iterator is sent in the pieces in which it comes."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | AsyncIterator[bytes] = b""


class ClientGoneError(Exception):
    """The client closed the connection before it had sent its request."""
