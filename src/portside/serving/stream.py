"""A streamed answer on its way from the handler's thread to the caller."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from portside.serving.error import CallerGoneError
from portside.serving.response import Response, head_of

if TYPE_CHECKING:
    from portside.serving.exchange import Exchange
    from portside.serving.invocation import Answer
    from portside.serving.ticket import Ticket

_MAX_AHEAD: Final = 16
"""Chunks that a handler may be ahead of its caller."""

_PATIENCE_S: Final = 30.0
"""For a caller that has stopped to read."""


class ResponseStream:
    """The stream of one exchange.

    In the event loop `begin` says whether it is not too late, and `end` notes that it has ended.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        call_soon: Callable[[Callable[[], None]], object],
        begin: Callable[[Ticket], bool],
        end: Callable[[Ticket], None],
    ) -> None:
        self._exchange = exchange
        self._call_soon = call_soon
        self._begin = begin
        self._end = end
        self._room = threading.Semaphore(_MAX_AHEAD)
        self._owed = 0

    # --- In the handler's thread --------------------------------------------------------

    def start(self, ticket: Ticket, answer: Answer) -> None:
        """Send the head; raises PredictionFailedError if it cannot be sent."""
        response = Response(
            status=200,
            content_type=answer.content_type,
            headers=tuple(answer.headers.items()),
        )
        head_of(response, b"", True)  # found out here, there is still a status to say so
        self._call_soon(lambda: self._start(ticket, response))

    def send(self, chunk: bytes) -> None:
        """Send a chunk; waits while the caller is too far behind."""
        has_room = self._room.acquire(timeout=_PATIENCE_S)
        if self._exchange.is_over:
            raise CallerGoneError("nobody waits for it any more")
        if not has_room:
            raise CallerGoneError(f"the caller has not read for {_PATIENCE_S:g} s")
        self._call_soon(lambda: self._write(chunk))

    def end(self, ticket: Ticket, *, is_complete: bool) -> None:
        """Send the end, or break the connection off."""
        self._call_soon(lambda: self._finish(ticket, is_complete=is_complete))

    # --- In the event loop --------------------------------------------------------------

    def _start(self, ticket: Ticket, response: Response) -> None:
        if self._begin(ticket):
            self._exchange.connection.on_writable = self._resume
            self._exchange.start(response)

    def _write(self, chunk: bytes) -> None:
        self._exchange.write(chunk)
        self._owed += 1
        if self._exchange.is_over or self._exchange.connection.can_write:
            self._resume()

    def _finish(self, ticket: Ticket, *, is_complete: bool) -> None:
        self._exchange.end(is_complete=is_complete)
        self._end(ticket)

    def _resume(self) -> None:
        """The caller has caught up, or is gone: either way nothing has to wait."""
        if self._owed:
            self._room.release(self._owed)
            self._owed = 0
