"""The event loop of an instance: accepts connections, keeps time, drains when told to stop.

listen      connections are accepted until SIGTERM, SIGINT or `stop`
drain       a moment for requests that are on their way, then no new connections;
            what is under way is answered, within the grace
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import signal
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from socket import SOL_SOCKET
from typing import TYPE_CHECKING, Final, Protocol

from portside.serving.connection import Connection

if TYPE_CHECKING:
    from socket import socket

    from portside.serving.exchange import Exchange

_TICK_S: Final = 0.05
"""How often deadlines are looked at."""

_TICKS_A_SWEEP: Final = 20
"""How often, in ticks, connections are looked at."""

_SO_ATTACH_FILTER: Final = 26
"""Linux's number; Python's `socket` does not name it."""

_NO_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte of TCP's flags
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # then keep nothing
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep all
)
"""A filter of packets, each instruction as code, jump if true, jump if false, operand."""

_HANDSHAKE_S: Final = 0.02
"""For callers who have asked for a connection to get it; within a data center it takes less than
a millisecond."""

_LAST_CALL_S: Final = 0.2
"""From SIGTERM to the closed door, for requests that were sent before the platform took the
instance out of its list."""

_BACKLOG: Final = 2048
"""Connections that may wait to be accepted; the socket listens anew, and with 100 otherwise."""

_MAX_BUFFERED_BYTES: Final = 512 * 1024 * 1024
"""Bodies of all requests together, received but not answered."""

_logger: Final = logging.getLogger(__name__)


class Application(Protocol):
    """What answers the exchanges; all of it is called in the event loop."""

    def handle(self, exchange: Exchange) -> None:
        """Answer, now or later."""
        ...

    def tick(self) -> None:
        """Called several times a second."""
        ...

    def stop(self) -> None:
        """The grace is over: answer what is still in flight at once."""
        ...

    async def close(self) -> None:
        """Called at the end, when nothing is in flight any more."""
        ...


class Listener:
    """Serves an application on a socket that listens already."""

    def __init__(
        self,
        application: Application,
        *,
        max_body_bytes: int,
        grace_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._application = application
        self.handle = application.handle
        self.max_body_bytes = max_body_bytes
        self.clock = clock
        self.connections: set[Connection] = set()
        self.is_draining = False
        self._grace_s = grace_s
        self._buffered_bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopped = False
        self._stopping: asyncio.Event | None = None

    def listen(self, listening: socket, *, on_start: Callable[[], Awaitable[None]]) -> bool:
        """Serve until told to stop; False if the grace was too short for what was in flight.

        `on_start` is run beside it, as soon as connections are accepted.
        """
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(self._serve(listening, on_start))

    def stop(self) -> None:
        """From any thread: drain, and return from `listen`."""
        self._is_stopped = True
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    def call_soon(self, function: Callable[[], None]) -> None:
        """From any thread: call it in the event loop; nothing happens once that has ended."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(function)

    def reserve(self, size_bytes: int) -> bool:
        """Whether there is room to keep so many bytes more; if so they count from now on."""
        if self._buffered_bytes + size_bytes > _MAX_BUFFERED_BYTES:
            return False
        self._buffered_bytes += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        """So many bytes are kept no longer."""
        self._buffered_bytes -= size_bytes

    async def _serve(self, listening: socket, on_start: Callable[[], Awaitable[None]]) -> bool:
        self._loop = loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        if self._is_stopped:
            self._stopping.set()
        server = await loop.create_server(
            lambda: Connection(self), sock=listening, backlog=_BACKLOG
        )
        ticking = loop.create_task(self._tick())
        starting = asyncio.ensure_future(on_start())
        try:
            await self._stopping.wait()
            await asyncio.sleep(_LAST_CALL_S)
            self.is_draining = True
            _take_no_more(listening)
            await asyncio.sleep(_HANDSHAKE_S)
            callers = _accept_the_last(listening)
            server.close()
            for caller in callers:
                await loop.connect_accepted_socket(lambda: Connection(self), caller)
            is_drained = await self._drain()
            await self._application.close()
        finally:
            starting.cancel()
            ticking.cancel()
        return is_drained

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(_TICK_S)
            ticks += 1
            try:
                self._application.tick()
                if ticks % _TICKS_A_SWEEP == 0:
                    now = self.clock()
                    for connection in list(self.connections):
                        connection.sweep(now)
            except Exception:  # a fault of ours must not end all deadlines
                _logger.exception("a tick broke")

    async def _drain(self) -> bool:
        now = self.clock()
        ends = now + self._grace_s
        while self.connections and now < ends:
            for connection in list(self.connections):
                connection.drain(now)
            await asyncio.sleep(_TICK_S / 5)
            now = self.clock()
        if all(connection.is_idle for connection in self.connections):
            return True
        self._application.stop()
        await asyncio.sleep(_TICK_S)
        return False


def _accept_the_last(listening: socket) -> list[socket]:
    """Callers whom only the kernel has accepted yet: closing the socket would cut them off."""
    callers = []
    with suppress(BlockingIOError):
        while True:
            callers.append(listening.accept()[0])
    return callers


def _take_no_more(listening: socket) -> None:
    """Let the kernel drop whoever connects from now on; their own kernel tries again, or gives up.

    Only what asks for a connection (SYN) is dropped: who has asked already must be able to end the
    handshake, or they would send into a connection that is never handed out. Linux, socket(7);
    elsewhere a caller may be cut off who connects in the microseconds until the socket is closed.
    """
    if sys.platform != "linux":
        return
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in _NO_SYN))
    program = struct.pack("HxxxxxxP", len(_NO_SYN), ctypes.addressof(instructions))
    with suppress(OSError):
        listening.setsockopt(SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
