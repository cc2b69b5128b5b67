"""An event loop in a thread of its own, for handlers that are written with `async def`."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import wait
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

_SLICE_S: Final = 1.0
"""How long a thread waits at a time."""

_PATIENCE_S: Final = 1.0
"""For a coroutine that does not give the loop back."""


class Loop:
    """Runs coroutines for any thread, all on one event loop.

    So a client that `load_model` opened can be used by `predict`. The server's own loop, which
    answers `/ping`, is another. The thread starts with the first coroutine.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def settle(self, value: object) -> object:
        """The result of a coroutine, an iterator over an asynchronous generator, or the value."""
        if isinstance(value, CoroutineType):
            return self._run(value)
        if isinstance(value, AsyncGeneratorType):
            return self._iterate(value)
        return value

    def close(self) -> None:
        """Stop the thread; what still runs in it is left."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_PATIENCE_S)
        if not thread.is_alive():
            loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, object]) -> object:
        # The coroutine sees the context variables of the calling thread: its log lines too carry
        # the request's id.
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running())
        try:
            # In slices: a thread that the server gave up learns of it only in between.
            while not future.done():
                wait((future,), timeout=_SLICE_S)
            return future.result()
        finally:
            future.cancel()

    def _iterate(self, values: AsyncGeneratorType[object, Any]) -> Iterator[object]:
        try:
            while True:
                try:
                    value = self._run(_next(values))
                except StopAsyncIteration:
                    return
                yield value
        finally:
            self._run(_close(values))

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # A daemon: a coroutine that never ends must not keep the process.
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="async", daemon=True
                )
                self._thread.start()
            return self._loop


async def _next(values: AsyncGeneratorType[object, Any]) -> object:
    return await anext(values)


async def _close(values: AsyncGeneratorType[object, Any]) -> None:
    await values.aclose()
