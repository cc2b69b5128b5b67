"""The life of a request for a prediction, outside of the batcher: from exchange to ticket and back.

exchange ─▶ Invocation, session ─▶ batcher: Ticket
ticket   ─▶ the answer, or the error's status ─▶ one line in the log, one count in the metrics
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from portside import contract
from portside.serving import log
from portside.serving.error import CallerGoneError, PredictionFailedError, RequestError
from portside.serving.invocation import Invocation
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
        self.call_soon: Callable[[Callable[[], None]], object] = lambda function: function()
        """Reaches the event loop from any thread; set once that runs."""
        prefix = os.urandom(4).hex()
        self._request_ids = (f"{prefix}-{number:06x}" for number in itertools.count(1))

    def begin(self, exchange: Exchange, find: Callable[[], Batcher]) -> None:
        """Let the batcher that `find` finds answer; what `find` raises is the answer otherwise."""
        headers = exchange.headers
        invocation = Invocation(
            body=exchange.body,
            content_type=headers.get("content-type"),
            accept=headers.get("accept"),
            headers=headers,
            request_id=next(self._request_ids),
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
        """One line in the log, one count in the metrics."""
        total_s = self._clock() - arrived
        self._metrics.count(response.status, total_s=total_s)
        fields = log.request_fields(invocation)
        fields |= {
            "path": exchange.path,
            "status": response.status,
            "ms": _ms(total_s),
            "bytes_in": len(invocation.body),
            "bytes_out": len(response.body),
        }
        if ticket is not None and ticket.job is not None:
            self._metrics.observe(ticket)
            fields |= _stages(ticket)
        if error is not None:
            fields["error"] = error.message
        self._request_log.add(fields)


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
    body = ticket.answer.body
    return Response(
        status=200,
        body=body if isinstance(body, bytes) else b"",
        content_type=ticket.answer.content_type,
        headers=tuple(ticket.answer.headers.items()),
    )


def _ms(seconds: float) -> float:
    """Milliseconds with three places; three times as fast as `round`."""
    return int(seconds * 1e6) / 1e3


def _stages(ticket: Ticket) -> dict[str, object]:
    """How long each stage took, in milliseconds, and in what company."""
    return {
        "decode_ms": _ms(ticket.decode_s),
        "queue_ms": _ms(ticket.queue_s),
        "predict_ms": _ms(ticket.predict_s),
        "encode_ms": _ms(ticket.encode_s),
        "batch_size": ticket.batch_size,
        "tokens": ticket.tokens,
    }
