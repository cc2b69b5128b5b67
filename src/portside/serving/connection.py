"""A connection of a caller: bytes in, exchanges out, one at a time and in order.

    bytes ──request_parser──▶ Request ──▶ Exchange ──▶ the application
                                            ▲ answered: the next request, if one waits

A request that goes no further (malformed, too large, too slow) is refused with
its status, and the connection ends. What the caller still sends is read and
thrown away for a while: cut off while it sends, it would never see why.

Why not a general server: see `docs/decisions/0008-http-server.md`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, cast

from portside.serving.error import PredictionFailedError, RequestError, RequestTimeoutError
from portside.serving.exchange import Exchange
from portside.serving.request_parser import Request, RequestParser
from portside.serving.response import error_response, head_of

_logger: Final = logging.getLogger(__name__)

_MAX_QUEUED: Final = 16
"""Requests that a caller may send ahead of their answers before its bytes are left unread."""

_REQUEST_TIMEOUT_S: Final = 60.0
"""From a request's first byte to its last; SageMaker's own limit for the whole of it."""

_KEEP_ALIVE_S: Final = 120.0
"""For a connection without a request. AWS's load balancers keep theirs for 60 s: the side that
sends requests has to close first, or some of them meet a closed door."""

_FIRST_REQUEST_S: Final = 1.0
"""From connecting to the first byte, while the instance drains."""

_WRITE_TIMEOUT_S: Final = 60.0
"""For a caller that does not read its answer."""

_LINGER_S: Final = 5.0
"""For a caller to read the last that it is told."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Host(Protocol):
    """Who accepted the connection, and what is common to all of them."""

    connections: set[Connection]
    clock: Callable[[], float]
    max_body_bytes: int
    is_draining: bool

    def handle(self, exchange: Exchange) -> None:
        """Answer it, now or later."""
        ...

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call it in the event loop, later."""
        ...

    def reserve(self, size_bytes: int) -> bool:
        """Whether there is room to keep so many bytes more."""
        ...

    def release(self, size_bytes: int) -> None:
        """So many bytes are kept no longer."""
        ...


class Connection(asyncio.Protocol):
    """The protocol of one connection, called by the event loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parser = RequestParser(max_body_bytes=host.max_body_bytes, reserve=host.reserve)
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.on_writable: Callable[[], None] | None = None
        self.can_write = True
        self._has_served = False
        self._current: Exchange | None = None
        self._queued: deque[Request] = deque()
        self._is_deaf = False
        """Whether what still comes in is thrown away."""
        self._refusal: RequestError | None = None
        """What is said at the end, after the answers to what came before."""
        self._is_reading = True
        self._waits_since = host.clock()
        """For a request to come, to be whole, or for an answer to be read."""

    # --- From the event loop ----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there."""
        self.transport = cast("asyncio.Transport", transport)
        self._host.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, of several, or of a part of one."""
        if self._is_deaf:
            return
        parser = self._parser
        if not parser.is_in_request:
            self._waits_since = self._host.clock()
        for request in parser.feed(data):
            self._take(request)
        if parser.error is not None:
            self._refuse(parser.error)
        elif len(self._queued) >= _MAX_QUEUED and self._is_reading:
            self._is_reading = False
            self.transport.pause_reading()
        elif parser.wants_continue:
            parser.wants_continue = False
            if self.is_idle:  # else it would be taken for the begin of another answer
                self.transport.write(_CONTINUE)

    def pause_writing(self) -> None:
        """The caller reads too slowly."""
        self.can_write = False
        self._waits_since = self._host.clock()

    def resume_writing(self) -> None:
        """The caller has caught up."""
        self.can_write = True
        self._waits_since = self._host.clock()
        if self.on_writable is not None:
            self.on_writable()
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The caller is gone, or was told to go."""
        host = self._host
        host.connections.discard(self)
        host.release(self._parser.discard())
        self._drop_queue()
        if self._current is not None:
            host.release(len(self._current.body))
            self._current.lose()
            self._current = None
        if self.on_writable is not None:
            self.on_writable()

    # --- Exchanges ----------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no whole request waits for its answer."""
        return self._current is None and not self._queued

    def _take(self, request: Request) -> None:
        if self._is_deaf:  # the one before it was the last
            self._host.release(len(request.body))
        elif self._current is None and not self._queued and self.can_write:
            self._handle(request)
        else:
            self._queued.append(request)

    def _handle(self, request: Request) -> None:
        is_last = self._host.is_draining and not self._queued
        keeps_alive = request.keeps_alive and not is_last
        exchange = Exchange(
            self,
            request.method,
            request.path,
            request.query,
            request.headers,
            request.body,
            keeps_alive,
            request.can_stream,
        )
        self._current = exchange
        self._has_served = True
        try:
            self._host.handle(exchange)
        except Exception:  # a fault of ours; without an answer the connection would never end
            _logger.exception("`%s %s` broke the server", request.method, request.path)
            exchange.respond(error_response(PredictionFailedError("the server broke; see the log")))

    def answered(self, exchange: Exchange) -> None:
        """From the exchange: its answer is written."""
        self._host.release(len(exchange.body))
        self._current = None
        self._waits_since = self._host.clock()
        if self.on_writable is not None:
            self.on_writable()  # whoever waits to write more of this answer need not
            self.on_writable = None
        if not exchange.keeps_alive:
            self._close()
        elif self._queued:
            # Not called from here, or a long queue would end in a deep stack.
            self._host.call_soon(self._next)
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
        elif self._host.is_draining and not self._parser.is_in_request:
            self._close()

    def _next(self) -> None:
        """Go on with a request that waits, unless the caller does not read its answers."""
        if not self._queued or self._current is not None or not self.can_write:
            return
        self._handle(self._queued.popleft())
        if not self._is_reading and len(self._queued) < _MAX_QUEUED:
            self._is_reading = True
            self.transport.resume_reading()

    def _refuse(self, error: RequestError) -> None:
        """Say why the request goes no further; the connection ends a little later."""
        self._host.release(self._parser.discard())
        if self._is_deaf:
            return
        self._is_deaf = True
        self._refusal = error
        if self.is_idle:
            self._send_refusal(error)

    def _send_refusal(self, error: RequestError) -> None:
        self._waits_since = self._host.clock()
        response = error_response(error)
        length = b"content-length: %d\r\n" % len(response.body)
        self.transport.write(head_of(response, length, False) + response.body)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _close(self) -> None:
        self._is_deaf = True
        self._drop_queue()
        self.transport.close()

    def _drop_queue(self) -> None:
        for request in self._queued:
            self._host.release(len(request.body))
        self._queued.clear()

    # --- Time ---------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """End a connection that has been waiting for too long; called every second or so."""
        waited_s = now - self._waits_since
        if not self.can_write:
            if waited_s > _WRITE_TIMEOUT_S:
                self.transport.abort()
        elif not self.is_idle:
            return
        elif self._is_deaf:
            if waited_s > _LINGER_S:
                self.transport.abort()
        elif self._parser.is_in_request:
            if waited_s > _REQUEST_TIMEOUT_S:
                self._refuse(
                    RequestTimeoutError(
                        f"the request did not arrive whole within {_REQUEST_TIMEOUT_S:g} s"
                    )
                )
        elif waited_s > _KEEP_ALIVE_S:
            self.transport.abort()

    def drain(self, now: float) -> None:
        """Answer what is under way, and close; called until the connection is gone.

        Whoever connected a moment ago is about to send a request, and has a second for it.
        """
        if self._current is not None and not self._queued:
            self._current.keeps_alive = False
            return
        is_about_to_send = not self._has_served and now - self._waits_since < _FIRST_REQUEST_S
        is_sending = self._parser.is_in_request or is_about_to_send
        if self.is_idle and not is_sending and not self._is_deaf:
            self._close()
