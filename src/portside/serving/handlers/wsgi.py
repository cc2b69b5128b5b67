"""A WSGI app (Flask, Django, …) as an ASGI app: PEP 3333 in threads.

    scope, body ──▶ environ ──▶ app(environ, start_response) ──▶ status, headers, chunks

The body is read whole before the app is called; what the app yields is sent
chunk by chunk. `/ping` has a thread of its own, so that it is answered while
every other thread predicts.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from portside import contract

if TYPE_CHECKING:
    from types import TracebackType

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_Environ = dict[str, Any]
_StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[_Environ, _StartResponse], Iterable[bytes]]

_NOT_HTTP: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
"""Headers that CGI knows without `HTTP_` before them."""


class _CallerGoneError(Exception):
    """Nobody is left to answer."""


class WsgiAdapter:
    """Calls a WSGI app, `threads` requests at a time."""

    def __init__(self, app: WsgiApp, *, threads: int) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="wsgi")
        self._ping_thread = ThreadPoolExecutor(1, thread_name_prefix="wsgi-ping")
        self._is_concurrent = threads > 1

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            body = await _read(receive)
        except _CallerGoneError:
            return
        environ = self._environ(scope, body)
        exchange = _Exchange(send, asyncio.get_running_loop())
        is_ping = scope["path"] == contract.PING_PATH
        # In a thread as in the event loop, log lines tell the request that they belong to.
        run = partial(contextvars.copy_context().run, exchange.run, self._app, environ)
        threads = self._ping_thread if is_ping else self._threads
        await asyncio.get_running_loop().run_in_executor(threads, run)

    def close(self) -> None:
        """Let go of the threads; those that still work are not waited for."""
        self._threads.shutdown(wait=False)
        self._ping_thread.shutdown(wait=False)

    def _environ(self, scope: Message, body: bytes) -> _Environ:
        host, port = scope.get("server") or ("localhost", contract.PORT)
        environ: _Environ = {
            "REQUEST_METHOD": scope["method"],
            "SCRIPT_NAME": scope.get("root_path", ""),
            # PEP 3333: bytes that pretend to be latin-1.
            "PATH_INFO": scope["path"].encode().decode("latin-1"),
            "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
            "SERVER_NAME": str(host),
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
            "REMOTE_ADDR": (scope.get("client") or ("", 0))[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scope.get("scheme", "http"),
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": self._is_concurrent,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            key = _NOT_HTTP.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        environ["CONTENT_LENGTH"] = str(len(body))  # also where it came in chunks
        return environ


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    more_body = True
    while more_body:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _CallerGoneError
        body += message.get("body", b"")
        more_body = message.get("more_body", False)
    return bytes(body)


class _Exchange:
    """One call of the app, in its thread; what it sends goes through the event loop."""

    def __init__(self, send: Send, loop: asyncio.AbstractEventLoop) -> None:
        self._send = send
        self._loop = loop
        self._head: Message | None = None
        self._is_head_sent = False
        self._missing: int | None = None
        """Bytes of the body that are still to come, where the app has told its length."""

    def run(self, app: WsgiApp, environ: _Environ) -> None:
        """Call the app, and send what it gives."""
        result = app(environ, self._start_response)
        try:
            for chunk in result:
                self._write(chunk)
            if self._missing != 0 or not self._is_head_sent:
                self._emit(b"", more_body=False)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: tuple[type[BaseException], BaseException, TracebackType] | None = None,
    ) -> Callable[[bytes], object]:
        if exc_info is not None and self._is_head_sent:
            # PEP 3333: too late for another status, so the app's error is raised anew.
            raise exc_info[1].with_traceback(exc_info[2])
        lowered = [(name.lower(), value) for name, value in headers]
        length = dict(lowered).get("content-length", "")
        self._missing = int(length) if length.isdecimal() else None
        self._head = {
            "type": "http.response.start",
            "status": int(status.partition(" ")[0]),
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in lowered
            ],
        }
        return self._write

    def _write(self, chunk: bytes) -> None:
        if not chunk:
            return
        if self._missing is not None:
            self._missing -= len(chunk)
        # A body that is whole goes out in one piece, and not as a stream of one chunk.
        self._emit(chunk, more_body=self._missing != 0)

    def _emit(self, body: bytes, *, more_body: bool) -> None:
        """Send the head if that is still to do, then a part of the body."""
        if self._head is None:
            raise RuntimeError("the WSGI app did not call `start_response`")
        if not self._is_head_sent:
            self._is_head_sent = True
            self._hand_over(self._head)
        self._hand_over({"type": "http.response.body", "body": body, "more_body": more_body})

    def _hand_over(self, message: Message) -> None:
        """Wait until a message is on its way: an app that yields is no faster than its caller."""
        asyncio.run_coroutine_threadsafe(_await(self._send, message), self._loop).result()


async def _await(send: Send, message: Message) -> None:
    await send(message)
