"""The ASGI application: the path of a request, from the socket to the handler and back.

    GET|POST /ping          503 until the handler is loaded and warmed, then 200, also while
                            it works: SageMaker replaces an instance that is slow to say so
    POST /invocations
      1. is the handler there?                    else 503
      2. Content-Type and Accept: JSON?           else 415, 406
      3. read the body, within the limit          else 413
      4. in the handler's thread, one at a time:
           decode                                 else 400
           predict                                else 400 from a task, 500 from the user's code,
                                                  503 if the instance stops before the end
           encode                                 else 500
      5. answer, and one line in the log
    anything else           404, 405

The event loop only moves bytes, so `/ping` is answered at once whatever the
handler does. Errors are `{"error": {"code": …, "message": …}}`. What SageMaker
passes along (inference id, custom attributes) goes into the log; other headers
are ignored, as its documentation asks. Pings are not logged: SageMaker sends
them every few seconds for as long as the instance lives.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portside import contract
from portside.serving import codec, log
from portside.serving.error import (
    BodyTooLargeError,
    MethodNotAllowedError,
    NotFoundError,
    NotReadyError,
    PredictionFailedError,
    RequestError,
    StoppedError,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from portside.serving.handler import Handler

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LOGGED_HEADERS: Final = {
    "inference_id": contract.HEADER_INFERENCE_ID,
    "custom_attributes": contract.HEADER_CUSTOM_ATTRIBUTES,
}

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A request without its body; the names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Response:
    status: int
    body: bytes = b""
    allow: str | None = None


class _CallerGoneError(Exception):
    """The caller hung up before its request was whole; nobody is left to answer."""


class App:
    """Answers requests with the handler that `loading` ends in.

    The handler runs in `executor`; with its one thread, predictions run one at a time.
    """

    def __init__(
        self,
        loading: Future[Handler],
        executor: Executor,
        *,
        max_body_bytes: int = contract.REALTIME_PAYLOAD_BYTES,
        clock: Callable[[], float] = time.perf_counter,
        new_request_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._loading = loading
        self._executor = executor
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._new_request_id = new_request_id
        self._predictions: set[Future[bytes]] = set()

    @property
    def unfinished(self) -> int:
        """Predictions that wait or run."""
        return len(self._predictions)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; the server sends no other kind of scope."""
        log.request_id.set(self._new_request_id())
        request = _read_scope(scope)
        started = self._clock()
        seen: dict[str, object] = {}
        try:
            response = await self._respond(request, receive, seen=seen)
        except RequestError as error:
            seen["error"] = error.message
            response = _error_response(error)
        except _CallerGoneError:
            _logger.info("the caller hung up before its request was whole")
            return
        if request.path != contract.PING_PATH:
            _log_request(request, response, seconds=self._clock() - started, seen=seen)
        await _send(response, send)

    async def _respond(
        self, request: _Request, receive: Receive, *, seen: dict[str, object]
    ) -> _Response:
        match request.path:
            case contract.PING_PATH:
                return self._ping(request)
            case contract.INVOCATIONS_PATH:
                return await self._invoke(request, receive, seen=seen)
            case path:
                raise NotFoundError(
                    f"no path `{path}`; there are `{contract.PING_PATH}` "
                    f"and `{contract.INVOCATIONS_PATH}`"
                )

    def _ping(self, request: _Request) -> _Response:
        _check_method(request, "GET", "POST")
        self._check_ready()
        return _Response(status=200)

    async def _invoke(
        self, request: _Request, receive: Receive, *, seen: dict[str, object]
    ) -> _Response:
        _check_method(request, "POST")
        self._check_ready()
        codec.check_content_type(request.headers.get("content-type"))
        codec.check_accept(request.headers.get("accept"))
        body = await self._read_body(request, receive)
        seen["bytes_in"] = len(body)
        return _Response(status=200, body=await self._predict(body))

    def _check_ready(self) -> None:
        if not self._loading.done() or self._loading.exception() is not None:
            raise NotReadyError("the model is not loaded yet")

    async def _read_body(self, request: _Request, receive: Receive) -> bytes:
        """The whole body; a length that is too great is refused before a byte is read."""
        announced = request.headers.get("content-length", "")
        self._check_size(int(announced) if announced.isdecimal() else 0)
        body = bytearray()
        more_body = True
        while more_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _CallerGoneError
            body += message.get("body", b"")
            self._check_size(len(body))
            more_body = message.get("more_body", False)
        return bytes(body)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_body_bytes:
            raise BodyTooLargeError(
                f"the body is larger than {self._max_body_bytes} bytes; send fewer inputs at a time"
            )

    async def _predict(self, body: bytes) -> bytes:
        """Hand the body to the handler's thread; what is logged there carries the request's id."""
        run = contextvars.copy_context().run
        prediction = self._executor.submit(run, self._answer, body)
        self._predictions.add(prediction)
        prediction.add_done_callback(self._predictions.discard)
        try:
            return await asyncio.wrap_future(prediction)
        except asyncio.CancelledError as error:
            # Only the listener cancels, when the grace after SIGTERM is over.
            raise StoppedError("the instance was stopped before the prediction ended") from error

    def _answer(self, body: bytes) -> bytes:
        """In the handler's thread: from the bytes of a request to those of its answer."""
        value = codec.decode(body)
        try:
            result = self._loading.result().predict(value)
        except RequestError:
            raise
        # A handler may raise anything; a stray sys.exit() must not end the instance either.
        except (Exception, SystemExit) as error:
            name = type(error).__name__
            _logger.exception("`predict` raised %s", name)
            raise PredictionFailedError(
                f"{name} in `predict`; see the log, request id `{log.request_id.get()}`"
            ) from error
        return codec.encode(result)


def _read_scope(scope: Message) -> _Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return _Request(method=scope["method"], path=scope["path"], headers=headers)


def _check_method(request: _Request, *allowed: str) -> None:
    if request.method not in allowed:
        allow = ", ".join(allowed)
        raise MethodNotAllowedError(f"`{request.path}` takes {allow}", allow=allow)


def _error_response(error: RequestError) -> _Response:
    body = codec.encode({"error": {"code": error.code, "message": error.message}})
    allow = error.allow if isinstance(error, MethodNotAllowedError) else None
    return _Response(status=error.status, body=body, allow=allow)


async def _send(response: _Response, send: Send) -> None:
    headers = [(b"content-length", str(len(response.body)).encode())]
    if response.body:
        headers.append((b"content-type", codec.JSON.encode()))
    if response.allow:
        headers.append((b"allow", response.allow.encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _log_request(
    request: _Request, response: _Response, *, seconds: float, seen: Mapping[str, object]
) -> None:
    fields = {
        "method": request.method,
        "path": request.path,
        "status": response.status,
        "ms": round(seconds * 1000, 2),
        "bytes_out": len(response.body),
        **seen,
    }
    for name, header in _LOGGED_HEADERS.items():
        if value := request.headers.get(header.lower()):
            fields[name] = value
    _logger.info("request", extra={"fields": fields})
