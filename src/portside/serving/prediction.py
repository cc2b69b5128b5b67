"""The life of a request for a prediction, outside of the batcher: from exchange to ticket and back.

exchange ─▶ Invocation, session ─▶ batcher: Ticket
ticket   ─▶ the answer, or the error's status ─▶ Outcome: a line in the log, a count in the metrics
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from portside import contract
from portside.serving import log
from portside.serving.error import CallerGoneError, PredictionFailedError, RequestError
from portside.serving.invocation import Invocation
from portside.serving.outcome import Outcome, stages_of
from portside.serving.response import Response, error_response
from portside.serving.session import Session, SessionTable, refuse_session
from portside.serving.stream import ResponseStream

if TYPE_CHECKING:
    from portside.serving.batcher import Batcher
    from portside.serving.exchange import Exchange
    from portside.serving.metric import Metrics
    from portside.serving.ticket import Ticket

_SESSION_ID: Final = contract.HEADER_SESSION_ID.lower()


class Predictions:
    """Answers exchanges with what batchers make of them; all of it in the event loop."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        request_log: log.RequestLog,
        sessions: SessionTable | None,
        clock: Callable[[], float],
    ) -> None:
        self._metrics = metrics
        self._request_log = request_log
        self._sessions = sessions
        self._clock = clock
        self._ended: list[Outcome] = []
        self.call_soon: Callable[[Callable[[], None]], object] = lambda function: function()
        """Reaches the event loop from any thread; set once that runs."""
        prefix = os.urandom(4).hex()
        self._request_ids = (f"{prefix}-{number:06x}" for number in itertools.count(1))

    def begin(self, exchange: Exchange, find: Callable[[], Batcher]) -> None:
        """Let the batcher that `find` finds answer; what `find` raises is the answer otherwise."""
        headers = exchange.headers
        invocation = Invocation(
            exchange.body,
            headers.get("content-type"),
            headers.get("accept"),
            headers,
            next(self._request_ids),
        )
        arrived = self._clock()
        try:
            batcher = find()
            if _SESSION_ID in headers:
                found = self._receive_session(headers[_SESSION_ID], exchange.body)
                if isinstance(found, Response):
                    exchange.respond(found)
                    self._note(exchange, invocation, found, arrived, error=None)
                    return
                invocation = invocation._replace(session=found)
            ticket = batcher.submit(invocation, _Reply(self, batcher, exchange))
        except RequestError as error:
            response = error_response(error)
            exchange.respond(response)
            self._note(exchange, invocation, response, arrived, error=error)
        else:
            exchange.on_gone = lambda: self._let_go(batcher, exchange, ticket)

    def _receive_session(self, session_id: str, body: bytes) -> Session | Response:
        if self._sessions is None:
            raise refuse_session()
        return self._sessions.receive(session_id, body)

    # --- The end of an invocation -------------------------------------------------------

    def _let_go(self, batcher: Batcher, exchange: Exchange, ticket: Ticket) -> None:
        """The caller hung up."""
        invocation, arrived = ticket.invocation, ticket.arrived
        batcher.cancel(ticket)
        error = CallerGoneError("the caller hung up")
        self._note(exchange, invocation, Response(error.status), arrived, error=error)

    def open_stream(self, batcher: Batcher, exchange: Exchange) -> ResponseStream:
        """For an answer that is sent chunk by chunk."""
        return ResponseStream(
            exchange,
            call_soon=self.call_soon,
            begin=batcher.begin_stream,
            end=batcher.end_stream,
        )

    def conclude(self, exchange: Exchange, ticket: Ticket) -> None:
        """Send the answer, unless it was streamed, and note how it went."""
        response = _response(ticket)
        if ticket.is_streamed:
            exchange.end(is_complete=False)  # if its time is up; else it has ended already
        else:
            try:
                exchange.respond(response)
            except PredictionFailedError as error:  # a header that cannot be sent
                ticket.error = error
                response = error_response(error)
                exchange.respond(response)
        self._note(
            exchange, ticket.invocation, response, ticket.arrived, error=ticket.error, ticket=ticket
        )

    def _note(
        self,
        exchange: Exchange,
        invocation: Invocation,
        response: Response,
        arrived: float,
        *,
        error: RequestError | None,
        ticket: Ticket | None = None,
    ) -> None:
        """Let it be counted and written with its like."""
        self._ended.append(
            Outcome(
                time.time(),
                invocation.request_id,
                invocation.headers,
                exchange.path,
                response.status,
                self._clock() - arrived,
                len(exchange.body),
                len(response.body),
                stages_of(ticket) if ticket is not None else None,
                error.message if error is not None else None,
            )
        )

    def settle(self) -> None:
        """Count what has ended, and write it to the log; to be called several times a second."""
        if self._ended:
            ended, self._ended = self._ended, []
            self._metrics.count(ended)
            self._request_log.write(ended)


class _Reply:
    """Where an invocation's outcome goes; see `ticket.Reply`."""

    __slots__ = ("_batcher", "_exchange", "_predictions")

    def __init__(self, predictions: Predictions, batcher: Batcher, exchange: Exchange) -> None:
        self._predictions = predictions
        self._batcher = batcher
        self._exchange = exchange

    def deliver(self, ticket: Ticket) -> None:
        self._predictions.conclude(self._exchange, ticket)

    def open_stream(self) -> ResponseStream:
        return self._predictions.open_stream(self._batcher, self._exchange)


def _response(ticket: Ticket) -> Response:
    if ticket.error is not None and not ticket.is_streamed:
        return error_response(ticket.error)
    if ticket.answer is None:
        return error_response(PredictionFailedError("the handler gave no answer"))
    body, content_type, headers = ticket.answer
    return Response(
        200,
        body if isinstance(body, bytes) else b"",
        content_type,
        tuple(headers.items()) if headers else (),
    )
