"""One HTTP request and the one answer to it, as the application sees them.

The application sets nothing up and tears nothing down: it reads the request and
calls `respond` once, now or later, always in the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from portside.serving.response import Response, head_of

_BODILESS: Final = (204, 304)
"""Statuses after which a caller expects the next answer at once: RFC 9112, section 6.3."""


class Transport(Protocol):
    """Where bytes go; what asyncio's transports have."""

    def write(self, data: bytes) -> None:
        """Send, now or as soon as the caller reads."""
        ...

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Such as `peername`."""
        ...


class Wire(Protocol):
    """The connection that waits for the answer."""

    @property
    def transport(self) -> Transport:
        """To write to."""
        ...

    @property
    def can_write(self) -> bool:
        """Whether the caller reads as fast as answers are written."""
        ...

    on_writable: Callable[[], None] | None
    """Called when the caller has caught up, or is gone."""

    def answered(self, exchange: Exchange) -> None:
        """The whole answer is written."""
        ...


@dataclass(slots=True, eq=False)
class Exchange:
    """A request that has come in whole, bound to the connection that waits for its answer."""

    connection: Wire
    method: str
    path: str
    """Decoded, without the query."""
    query: str
    headers: Mapping[str, str]
    """By their names in lower case; a header that came twice has its values joined by `, `."""
    body: bytes
    keeps_alive: bool
    can_stream: bool
    """Whether the caller understands chunks; HTTP/1.0 does not, and reads to the end instead."""
    is_over: bool = False
    """Answered, or the caller is gone."""
    on_gone: Callable[[], None] | None = None
    """Called if the caller hangs up before the answer is complete."""
    has_body: bool = True
    """Whether the answer that was started has one."""

    def respond(self, response: Response) -> None:
        """Send the whole answer; nothing happens if the caller is gone."""
        if self.is_over:
            return
        body = response.body
        framing = b"content-length: %d\r\n" % len(body)
        if response.status in _BODILESS:
            body = framing = b""
        head = head_of(response, framing, self.keeps_alive)
        self.connection.transport.write(head if self.method == "HEAD" else head + body)
        self._end()

    def start(self, response: Response) -> None:
        """Send the head of an answer whose chunks follow; the body of `response` is left out."""
        if self.is_over:
            return
        self.has_body = response.status not in _BODILESS and self.method != "HEAD"
        self.keeps_alive = self.keeps_alive and self.can_stream
        is_chunked = self.can_stream and response.status not in _BODILESS
        framing = b"transfer-encoding: chunked\r\n" if is_chunked else b""
        self.connection.transport.write(head_of(response, framing, self.keeps_alive))

    def write(self, chunk: bytes) -> None:
        """Send a chunk."""
        if self.is_over or not chunk or not self.has_body:
            return
        if self.can_stream:
            chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
        self.connection.transport.write(chunk)

    def end(self, *, is_complete: bool) -> None:
        """End what `start` began; an incomplete answer ends in a broken connection."""
        if self.is_over:
            return
        if not is_complete:
            self.keeps_alive = False
        elif self.can_stream and self.has_body:
            self.connection.transport.write(b"0\r\n\r\n")
        self._end()

    def lose(self) -> None:
        """The caller hung up."""
        if not self.is_over:
            self.is_over = True
            if self.on_gone is not None:
                self.on_gone()

    def _end(self) -> None:
        self.is_over = True
        self.connection.answered(self)
