"""uvicorn, run from code: it accepts connections, speaks HTTP and drains when told to stop.

`import uvicorn` also imports uvicorn's own command line, and with it click and
multiprocessing: a third of the time until HTTP is up, and packages that an
instance needs for nothing else. A stand-in for that one module keeps them out.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socket import socket

    from portside.serving.app import App


@contextmanager
def _no_command_line() -> Iterator[None]:
    """While uvicorn is imported, `uvicorn.main` is a module that has `Server` and no commands."""
    stand_in = ModuleType("uvicorn.main")

    def find(name: str) -> object:
        return import_module("uvicorn.server").Server if name == "Server" else None

    stand_in.__dict__["__getattr__"] = find
    sys.modules.setdefault(stand_in.__name__, stand_in)
    try:
        yield
    finally:
        if sys.modules[stand_in.__name__] is stand_in:
            del sys.modules[stand_in.__name__]


with _no_command_line():
    from uvicorn.config import Config
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    from uvicorn.server import Server

_KEEP_ALIVE_S: Final = 75
"""Longer than the 60 s for which AWS's load balancers keep an idle connection: the side that
sends requests has to close first, or some of them meet a closed door."""


class Listener(Server):
    """Serves an app until SIGTERM, SIGINT or `stop`, then finishes what is in flight."""

    def __init__(self, app: App, *, grace_s: int) -> None:
        config = Config(
            app,
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            workers=1,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=grace_s,
        )
        super().__init__(config)

    def listen(self, listening: socket) -> None:
        """Serve until told to stop; requests that outlive the grace are cut off."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self.serve(sockets=[listening]))

    def stop(self) -> None:
        """From any thread: accept no more, finish what is in flight, and return from `listen`."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, and end by returning.

        uvicorn's own would raise the signal anew at the end, and so turn a clean
        stop into an exit by SIGTERM.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
