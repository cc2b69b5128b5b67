"""A server that does nothing: what its pings take under the same load, the machine takes.

On a machine that others use as well, the slowest ping of a server says little
without it.
"""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final

from tests.contract.wire import Target

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_REQUEST_TIMEOUT_S: Final = 5.0


@contextmanager
def idle_server() -> Iterator[Target]:
    """One in a process of its own, for as long as the block takes."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield Target(url=f"http://127.0.0.1:{here.recv()}", body=b"", content_type="text/plain")
    finally:
        process.kill()
        process.join()
        here.close()
        there.close()


def _serve(there: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        there.send(listening.getsockname()[1])
        while True:
            caller, _ = listening.accept()
            with caller:
                caller.settimeout(_REQUEST_TIMEOUT_S)
                caller.recv(4096)
                caller.sendall(_ANSWER)
