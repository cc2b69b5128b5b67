"""Start a server to measure, ask it, weigh it, stop it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

HOST: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 120.0
REQUEST_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.005
STOP_TIMEOUT_S: Final = 30.0
JSON_TYPE: Final = "application/json"

Answer = list[dict[str, Any]]
"""The entities in one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How to start a server: `{port}` in `argv` and `environment` becomes a free one."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    ping_path: str = "/ping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What is asked: an instance's own route, or another's with all the headers that it wants."""

    path: str = "/invocations"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": JSON_TYPE})


INVOCATIONS: Final = Route()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that was spawned at `spawned_at` on the clock `time.perf_counter`."""

    server: Server
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    spawned_at: float

    def wait_for_ping(self) -> None:
        """Return at the first ping that is answered with 200."""
        while time.perf_counter() < self.spawned_at + START_TIMEOUT_S:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._get_ping() == http.client.OK:
                    return
            time.sleep(POLL_S)
        tail = self.log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"bench: `{self.server.name}` did not become healthy:\n{tail}")

    def _get_ping(self) -> int:
        with self.connect() as connection:
            connection.request("GET", self.server.ping_path)
            return connection.getresponse().status

    @contextlib.contextmanager
    def connect(self) -> Iterator[http.client.HTTPConnection]:
        """A connection that is kept alive where the server does so, and reopened where not."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=REQUEST_TIMEOUT_S)
        try:
            yield connection
        finally:
            connection.close()

    def resident_bytes(self) -> int:
        """Resident memory of the process and all its children, right now."""
        parent = psutil.Process(self.process.pid)
        family = [parent, *parent.children(recursive=True)]
        return sum(process.memory_info().rss for process in family)


def predict(connection: http.client.HTTPConnection, strings: list[str]) -> list[Answer]:
    """The decoded answer to one request; anything but a 200 ends the benchmark."""
    answers: list[Answer] = json.loads(
        invoke(connection, json.dumps({"strings": strings}).encode())
    )
    return answers


def invoke(
    connection: http.client.HTTPConnection, body: bytes, *, route: Route = INVOCATIONS
) -> bytes:
    """The answer to one request; anything but a 200 ends the benchmark."""
    connection.request("POST", route.path, body, dict(route.headers))
    response = connection.getresponse()
    answer = response.read()
    if response.status != http.client.OK:
        raise SystemExit(f"bench: status {response.status} from {route.path}: {answer[:500]!r}")
    return answer


@contextlib.contextmanager
def running(server: Server, logs: Path) -> Iterator[Running]:
    """The server on a free port for as long as the block takes."""
    port = _free_port()
    log = logs / f"{server.name}.log"
    environment = os.environ | {
        key: value.format(port=port) for key, value in server.environment.items()
    }
    with log.open("wb") as output:
        spawned_at = time.perf_counter()
        process = subprocess.Popen(
            [part.format(port=port) for part in server.argv],
            env=environment,
            cwd=server.folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Running(server=server, port=port, process=process, log=log, spawned_at=spawned_at)
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_TIMEOUT_S)
    # Its own session, so its own group: whatever it has left behind ends with it. LitServe's
    # workers outlive their parent.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
