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

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import orjson

from portside import contract
from portside.serving import log
from portside.serving.asgi import AsgiBridge
from portside.serving.batcher import Batcher, QueueLimit
from portside.serving.error import (
    MethodNotAllowedError,
    NotFoundError,
    NotReadyError,
    RequestError,
)
from portside.serving.handlers.mounted import MountedApp
from portside.serving.handlers.openapi import OPENAPI_PATH, make_document
from portside.serving.metric import CONTENT_TYPE as METRICS_TYPE
from portside.serving.metric import Metrics
from portside.serving.model_route import ModelRoutes, Route
from portside.serving.prediction import Predictions
from portside.serving.response import Response, error_response
from portside.serving.session import SessionTable

if TYPE_CHECKING:
    from portside.serving.exchange import Exchange
    from portside.serving.invocation import Handler
    from portside.serving.model_table import ModelTable

_JSON: Final = "application/json"


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
        self._metrics = Metrics()
        self._predictions = Predictions(
            metrics=self._metrics,
            request_log=request_log or log.RequestLog(),
            sessions=sessions,
            clock=clock,
        )
        self._batcher: Batcher | None = None
        self._service: Service | None = None
        self._find_more: Callable[[str], Mapping[str, Route] | None] = lambda _: None
        self._mounted: AsgiBridge | None = None
        self._document = b""
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
        self._predictions.call_soon = call_soon
        self._document = orjson.dumps(make_document(handler))
        self._batcher = Batcher(handler, call_soon=call_soon, limit=self._limit)
        self._service = self._batcher

    def attach_models(
        self, models: ModelTable, *, call_soon: Callable[[Callable[[], None]], object]
    ) -> None:
        """Serve the models of a table in place of one handler; ready from now on."""
        self._predictions.call_soon = call_soon
        self._service = models
        self._find_more = ModelRoutes(models, predict=self._predictions.begin).find
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
        self._predictions.settle()

    def stop(self) -> None:
        """Answer 503 to what is still in flight."""
        if self._service is not None:
            self._service.stop()
        self._predictions.settle()

    async def close(self) -> None:
        """Let an app of the user's clean up, and write the rest of the log."""
        if self._mounted is not None:
            await self._mounted.close()
        self._predictions.settle()

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
        self._predictions.settle()
        text = self._metrics.text(
            in_flight=service.in_flight if service else 0,
            is_ready=service is not None and service.fault is None,
        )
        exchange.respond(Response(status=200, body=text.encode(), content_type=METRICS_TYPE))

    def _show_document(self, exchange: Exchange) -> None:
        _ready(self._batcher)
        exchange.respond(Response(status=200, body=self._document, content_type=_JSON))

    def _invoke(self, exchange: Exchange) -> None:
        self._predictions.begin(exchange, lambda: _ready(self._batcher))


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
