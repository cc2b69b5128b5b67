"""Bytes of a connection to whole requests; knows no socket and no event loop.

Parsing is left to llhttp, Node's parser, through httptools; this adds what it
leaves open. Limits: on the head, on the body, on what may stand around the parts
of a body (trailers, extensions of chunks), and on the bytes that all callers may
keep here together. Trailers are thrown away, because headers must not change
after the body (RFC 9110, section 6.5.1). Offers of another protocol are ignored
(section 7.8): Java's client makes one with its first request.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn
from urllib.parse import unquote

import httptools

from portside.serving.error import (
    BodyTooLargeError,
    HeadTooLargeError,
    InvalidRequestError,
    OverloadedError,
    RequestError,
)

_MAX_HEAD_BYTES: Final = 64 * 1024
"""Far above what SageMaker sends: custom attributes are 1 kB at most."""

_OFFER: Final = {"connection", "upgrade", "http2-settings"}
"""Headers by which a caller offers another protocol."""


class Request(NamedTuple):
    """A whole request."""

    method: str
    path: str
    """Decoded, without the query."""
    query: str
    headers: dict[str, str]
    """By their names in lower case; a header that came twice has its values joined by `, `."""
    body: bytes
    keeps_alive: bool
    can_stream: bool
    """Whether the caller understands chunks; HTTP/1.0 does not."""


class RequestParser:
    """Of one connection; `reserve` says whether there is room for so many bytes more."""

    def __init__(self, *, max_body_bytes: int, reserve: Callable[[int], bool]) -> None:
        self._max_body_bytes = max_body_bytes
        self._reserve = reserve
        self._parser = httptools.HttpRequestParser(self)
        self._whole: list[Request] = []
        self._loose_bytes = 0
        """Since the last part of a body, or the end of a request."""
        self._piece_bytes = 0
        self._chunks: list[bytes] = []
        self.error: RequestError | None = None
        """Why the requests go no further; nothing may be fed any more."""
        self.wants_continue = False
        """Whether the caller waits to be told to send its body."""
        self.on_message_begin()
        self.is_in_request = False

    def discard(self) -> int:
        """Forget a request that is not whole; how many bytes were reserved for it."""
        chunks, self._chunks = self._chunks, []
        return sum(map(len, chunks))

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are whole now; `error` is set if what follows them is refused."""
        self._piece_bytes = len(data)
        self._loose_bytes += self._piece_bytes
        rest = self._parse(data)
        while rest is not None:
            rest = self._parse_without_offer(rest)
        if self._loose_bytes > _MAX_HEAD_BYTES and self.error is None:
            self.error = _head_too_large()
        whole, self._whole = self._whole, []
        return whole

    def _parse(self, data: bytes | memoryview) -> memoryview | None:
        """What follows the head of a request with an offer, where the parser stops."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return memoryview(data)[offer.args[0] :]
        except httptools.HttpParserError as error:
            if self.error is None:
                self.error = InvalidRequestError(f"the request is not HTTP: {error}")
        return None

    def _parse_without_offer(self, rest: memoryview) -> memoryview | None:
        if self._parser.get_method() == b"CONNECT":
            self.error = InvalidRequestError("this is no proxy: `CONNECT` leads nowhere")
            return None
        head = self._head_without_offer()
        self._parser = httptools.HttpRequestParser(self)
        self._parse(head)
        return self._parse(rest) if self.error is None else None

    def _head_without_offer(self) -> bytes:
        method, version = self._parser.get_method(), self._parser.get_http_version()
        lines = [b"%b %b HTTP/%b" % (method, self._url, version.encode("ascii"))]
        lines += [
            f"{name}: {value}".encode("latin-1")
            for name, value in self._headers.items()
            if name not in _OFFER
        ]
        return b"\r\n".join([*lines, b"\r\n"])

    # --- From llhttp ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self.is_in_request = True
        self._url = b""
        self._headers: dict[str, str] = {}
        self._joined_bytes = 0
        self._is_in_head = True
        self._chunks = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """The request's target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer."""
        if self._is_in_head:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            headers = self._headers
            if key in headers:
                text = f"{headers[key]}, {text}"
                self._joined_bytes += len(name) + 2
            headers[key] = text

    def on_headers_complete(self) -> None:
        """The body follows, if there is one."""
        self._is_in_head = False
        headers = self._headers
        if max(self._loose_bytes, self._piece_bytes) > _MAX_HEAD_BYTES:
            self._check_head()
        if "host" not in headers and self._parser.get_http_version() == "1.1":
            self._stop(InvalidRequestError("the request names no `Host` (RFC 9112, section 3.2)"))
        announced = headers.get("content-length", "")
        if announced.isdecimal():
            self._check_size(int(announced))
        if "expect" in headers and headers["expect"].lower() == "100-continue":
            self.wants_continue = True

    def on_body(self, chunk: bytes) -> None:
        """A part of the body."""
        self._loose_bytes = 0
        self._body_bytes += len(chunk)
        self._check_size(self._body_bytes)
        if not self._reserve(len(chunk)):
            text = "the bodies of other requests fill the memory set aside for them"
            self._stop(OverloadedError(text, retry_after_s=1))
        self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        """The request is whole; one with an offer is not, its body is still to come."""
        if self._parser.should_upgrade():
            return
        self._loose_bytes = 0
        self.is_in_request = self.wants_continue = False
        is_1_1 = self._parser.get_http_version() == "1.1"
        path, query = _split_target(self._url)
        chunks, self._chunks = self._chunks, []
        self._whole.append(
            Request(
                self._parser.get_method().decode("latin-1"),
                path,
                query,
                self._headers,
                chunks[0] if len(chunks) == 1 else b"".join(chunks),
                is_1_1 and self._parser.should_keep_alive(),
                is_1_1,
            )
        )

    def _check_head(self) -> None:
        """A head that came in one piece with other things is as large as its parts."""
        lines = sum(len(name) + len(value) + 4 for name, value in self._headers.items())
        if len(self._url) + lines + self._joined_bytes > _MAX_HEAD_BYTES:
            self._stop(_head_too_large())

    def _stop(self, error: RequestError) -> NoReturn:
        """End the parsing from inside."""
        self.error = error
        raise error

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_body_bytes:
            limit = self._max_body_bytes
            text = f"the body is larger than {limit} bytes; send fewer inputs at a time"
            self._stop(BodyTooLargeError(text))


@lru_cache(maxsize=64)
def _split_target(url: bytes) -> tuple[str, str]:
    """Path, decoded, and query; proxies may send the whole address (RFC 9112, section 3.2.2)."""
    target = url.decode("latin-1")
    if not target.startswith("/"):
        _, found, rest = target.partition("://")
        target = "/" + rest.partition("/")[2] if found else target
    path, _, query = target.partition("?")
    return unquote(path), query


def _head_too_large() -> HeadTooLargeError:
    return HeadTooLargeError(f"the head is larger than {_MAX_HEAD_BYTES} bytes")
