"""An ASGI app behind the listener: exchanges as scopes and messages.

A request is whole before the app sees it: SageMaker buffers requests as well.
Answers go out as the app sends them. The specification:
https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from portside.serving.error import PredictionFailedError
from portside.serving.response import Response, error_response

if TYPE_CHECKING:
    from portside.serving.exchange import Exchange
    from portside.serving.handlers.mounted import MountedApp
    from portside.serving.handlers.wsgi import Message

_FRAMING: Final = {"connection", "content-length", "content-type", "transfer-encoding"}
"""Headers of an answer that the listener sets itself, or takes apart."""

_logger: Final = logging.getLogger(__name__)


class AsgiBridge:
    """Hands exchanges to an app, each in a task of its own."""

    def __init__(self, app: MountedApp) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, exchange: Exchange) -> None:
        """Let the app answer."""
        task = asyncio.get_running_loop().create_task(_answer(self._app, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let the app clean up."""
        await self._app.shutdown()


async def _answer(app: MountedApp, exchange: Exchange) -> None:
    sender = _Sender(exchange)
    try:
        await app(_scope(exchange), _Receiver(exchange), sender)
    except Exception as error:  # whatever the app raises
        _logger.exception("the app raised %s", type(error).__name__)
        if sender.has_started:
            exchange.end(is_complete=False)
            return
        exchange.respond(
            error_response(PredictionFailedError(f"{type(error).__name__} in the app; see the log"))
        )
    else:
        if not exchange.is_over:
            exchange.end(is_complete=False)


def _scope(exchange: Exchange) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1" if exchange.can_stream else "1.0",
        "method": exchange.method,
        "scheme": "http",
        "path": exchange.path,
        "raw_path": quote(exchange.path).encode("ascii"),
        "query_string": exchange.query.encode("latin-1"),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in exchange.headers.items()
        ],
        "client": exchange.connection.transport.get_extra_info("peername"),
        "server": exchange.connection.transport.get_extra_info("sockname"),
    }


class _Receiver:
    """The body in one message; after it the app waits for the caller to hang up."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._is_read = False
        self._gone = asyncio.Event()
        exchange.on_gone = self._gone.set

    async def __call__(self) -> Message:
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self._exchange.body, "more_body": False}
        if not self._exchange.is_over:
            await self._gone.wait()
        return {"type": "http.disconnect"}


class _Sender:
    """An answer in one piece if it is sent so, else in chunks."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._head: Response | None = None
        self.has_started = False
        """Whether a part of the answer is on its way already."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = _response(message)
            return
        if self._head is None:
            raise RuntimeError("the app sent a body before it sent a status")
        body, more = bytes(message.get("body", b"")), message.get("more_body", False)
        if not more and not self.has_started:
            self._exchange.respond(self._head._replace(body=body))
            return
        if not self.has_started:
            self._exchange.start(self._head)
            self.has_started = True
        self._exchange.write(body)
        if not more:
            self._exchange.end(is_complete=True)
        await self._room()

    async def _room(self) -> None:
        """Wait while the caller reads more slowly than the app writes."""
        connection = self._exchange.connection
        if not connection.can_write and not self._exchange.is_over:
            writable = asyncio.Event()
            connection.on_writable = writable.set
            await writable.wait()


def _response(message: Message) -> Response:
    pairs = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in message.get("headers", [])
    ]
    return Response(
        status=message["status"],
        content_type=dict(pairs).get("content-type"),
        headers=[(name, value) for name, value in pairs if name not in _FRAMING],
    )
