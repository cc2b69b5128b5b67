"""The routes of an instance: the path of a request, from its arrival to its answer.

    GET|POST /ping                  503 until the model is loaded and has predicted once, 200
                                    also while it works, 503 for good after a fatal fault
    POST     /invocations           ─▶ batcher ─▶ an answer, one line in the log, one count
    GET      /execution-parameters  what batch transform may send
    GET      /metrics               Prometheus
    GET      /openapi.json          what can be sent to /invocations
             /models…               of a multi-model endpoint: see `model_route`

    anything else                   404, 405

All of it runs in the event loop and only moves bytes, so `/ping` is answered at
once whatever the handler does. Errors are `{"error": {"code": …, "message": …}}`.
Pings are not logged: SageMaker sends them for as long as the instance lives.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import orjson

from portside import contract
from portside.serving import log
from portside.serving.asgi import AsgiBridge
from portside.serving.batcher import Batcher, QueueLimit
from portside.serving.error import (
    CallerGoneError,
    MethodNotAllowedError,
    NotFoundError,
    NotReadyError,
    PredictionFailedError,
    RequestError,
)
from portside.serving.handlers.mounted import MountedApp
from portside.serving.handlers.openapi import OPENAPI_PATH, make_document
from portside.serving.invocation import Invocation
from portside.serving.metric import CONTENT_TYPE as METRICS_TYPE
from portside.serving.metric import Metrics
from portside.serving.model_route import ModelRoutes, Route
from portside.serving.response import Response, error_response
from portside.serving.session import Session, SessionTable, refuse_session
from portside.serving.stream import ResponseStream

if TYPE_CHECKING:
    from portside.serving.exchange import Exchange
    from portside.serving.invocation import Handler
    from portside.serving.model_table import ModelTable
    from portside.serving.ticket import Ticket

_JSON: Final = "application/json"
_SESSION_ID: Final = contract.HEADER_SESSION_ID.lower()


class Service(Protocol):
    """What makes the predictions: a batcher, or a table of models with one each."""

    @property
    def in_flight(self) -> int:
        """Requests that wait, run or stream."""
        ...

    @property
    def fault(self) -> str | None:
        """Why it cannot go on, if so."""
        ...

    def sweep(self) -> None:
        """Look at the deadlines."""
        ...

    def stop(self) -> None:
        """Answer 503 to what is still in flight."""
        ...


AnyService = TypeVar("AnyService", bound=Service)


class App:
    """Answers exchanges with a handler, once there is one; see `listener.Application`."""

    def __init__(
        self,
        *,
        limit: QueueLimit,
        max_body_bytes: int = contract.REALTIME_PAYLOAD_BYTES,
        sessions: SessionTable | None = None,
        request_log: log.RequestLog | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._limit = limit
        self._max_body_bytes = max_body_bytes
        self._sessions = sessions
        self._request_log = request_log or log.RequestLog()
        self._clock = clock
        self._metrics = Metrics()
        self._batcher: Batcher | None = None
        self._service: Service | None = None
        self._find_more: Callable[[str], Mapping[str, Route] | None] = lambda _: None
        self._mounted: AsgiBridge | None = None
        self._document = b""
        self._call_soon: Callable[[Callable[[], None]], object] = lambda function: function()
        prefix = os.urandom(4).hex()
        self._request_ids = (f"{prefix}-{number:06x}" for number in itertools.count(1))
        self._routes: dict[str, Mapping[str, Route]] = {
            contract.INVOCATIONS_PATH: {"POST": self._invoke},
            contract.PING_PATH: {"GET": self._ping, "POST": self._ping},
            contract.EXECUTION_PARAMETERS_PATH: {"GET": self._execution_parameters},
            contract.METRICS_PATH: {"GET": self._show_metrics},
            OPENAPI_PATH: {"GET": self._show_document},
        }

    async def attach(
        self,
        handler: Handler | MountedApp,
        *,
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        """Take requests from now on; `call_soon` reaches the event loop from any thread.

        An app of the user's is handed every request. Raises PortsideError if it does not start.
        """
        if isinstance(handler, MountedApp):
            await handler.startup()
            self._mounted = AsgiBridge(handler)
            return
        self._call_soon = call_soon
        self._document = orjson.dumps(make_document(handler))
        self._batcher = Batcher(handler, call_soon=call_soon, limit=self._limit)
        self._service = self._batcher

    def attach_models(
        self, models: ModelTable, *, call_soon: Callable[[Callable[[], None]], object]
    ) -> None:
        """Serve the models of a table in place of one handler; ready from now on."""
        self._call_soon = call_soon
        self._service = models
        self._find_more = ModelRoutes(models, predict=self._predict).find
        del self._routes[contract.INVOCATIONS_PATH], self._routes[OPENAPI_PATH]

    # --- From the listener ------------------------------------------------------------

    def handle(self, exchange: Exchange) -> None:
        """Answer an exchange, now or later."""
        if self._mounted is not None:
            self._mounted.handle(exchange)
            return
        methods = self._routes.get(exchange.path) or self._find_more(exchange.path)
        route = methods.get(exchange.method) if methods else None
        try:
            if route is None:
                raise _no_route(exchange, methods)
            route(exchange)
        except RequestError as error:
            exchange.respond(error_response(error))

    def tick(self) -> None:
        """Look at the deadlines, write the log."""
        if self._service is not None:
            self._service.sweep()
        if self._sessions is not None:
            self._sessions.sweep()
        self._request_log.flush()

    def stop(self) -> None:
        """Answer 503 to what is still in flight."""
        if self._service is not None:
            self._service.stop()
        self._request_log.flush()

    async def close(self) -> None:
        """Let an app of the user's clean up, and write the rest of the log."""
        if self._mounted is not None:
            await self._mounted.close()
        self._request_log.flush()

    # --- Routes -----------------------------------------------------------------------

    def _ping(self, exchange: Exchange) -> None:
        _ready(self._service)
        exchange.respond(Response(status=200))

    def _execution_parameters(self, exchange: Exchange) -> None:
        parameters = {
            "MaxConcurrentTransforms": contract.BATCH_MAX_CONCURRENT_TRANSFORMS,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": min(contract.BATCH_MAX_PAYLOAD_MB, self._max_body_bytes // 2**20),
        }
        exchange.respond(Response(status=200, body=orjson.dumps(parameters), content_type=_JSON))

    def _show_metrics(self, exchange: Exchange) -> None:
        service = self._service
        text = self._metrics.text(
            in_flight=service.in_flight if service else 0,
            is_ready=service is not None and service.fault is None,
        )
        exchange.respond(Response(status=200, body=text.encode(), content_type=METRICS_TYPE))

    def _show_document(self, exchange: Exchange) -> None:
        _ready(self._batcher)
        exchange.respond(Response(status=200, body=self._document, content_type=_JSON))

    def _invoke(self, exchange: Exchange) -> None:
        self._predict(exchange, lambda: _ready(self._batcher))

    def _predict(self, exchange: Exchange, find: Callable[[], Batcher]) -> None:
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
            call_soon=self._call_soon,
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

    __slots__ = ("_app", "_batcher", "_exchange")

    def __init__(self, app: App, batcher: Batcher, exchange: Exchange) -> None:
        self._app = app
        self._batcher = batcher
        self._exchange = exchange

    def deliver(self, ticket: Ticket) -> None:
        self._app.conclude(self._exchange, ticket)

    def open_stream(self) -> ResponseStream:
        return self._app.open_stream(self._batcher, self._exchange)


def _ready(service: AnyService | None) -> AnyService:
    if service is None:
        raise NotReadyError("the model is not loaded yet")
    if service.fault is not None:
        raise NotReadyError(f"the instance cannot go on: {service.fault}")
    return service


def _no_route(exchange: Exchange, methods: Mapping[str, object] | None) -> RequestError:
    if methods is None:
        return NotFoundError(f"no path `{exchange.path}`")
    allow = ", ".join(methods)
    return MethodNotAllowedError(f"`{exchange.path}` takes {allow}", allow=allow)


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
