"""A proxy that counts what a process asks the local SageMaker, and kills it at one of its requests.

It stands where the process thinks that the local SageMaker listens, so nothing in the product
knows of it.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

_HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding"}
"""Of one connection alone. RFC 9110, 7.6.1."""

_PID_S: Final = 10.0


class Moment(StrEnum):
    """When, around a request, the process that sent it dies."""

    BEFORE = "before it arrives"
    """Which is just after the request before it, if that was answered."""
    AFTER = "after it was acted on, the answer lost"


@dataclass
class Aim:
    """Kill at the `number`th request (from 1; 0 never). `calls` are those that came so far."""

    number: int = 0
    moment: Moment = Moment.AFTER
    calls: list[str] = field(default_factory=list)
    is_killed: bool = False
    _pid: int = 0
    _has_pid: threading.Event = field(default_factory=threading.Event)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def at(self, pid: int) -> None:
        """Whom to kill; requests wait until it is known."""
        self._pid = pid
        self._has_pid.set()

    def is_next(self, call: str) -> bool:
        """Count a request; whether it is the one."""
        self._has_pid.wait(_PID_S)
        with self._counting:
            self.calls.append(call)
            return len(self.calls) == self.number

    def shoot(self) -> None:
        """Kill the process, whatever it does."""
        self.is_killed = True
        os.kill(self._pid, signal.SIGKILL)


class Proxy:
    """Passes requests on to `port` on this machine."""

    def __init__(self, port: int) -> None:
        self.aim = Aim()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                aim = owner.aim
                target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                is_next = aim.is_next(f"{self.command} {target or self.path}")
                if aim.is_killed or (is_next and aim.moment is Moment.BEFORE):
                    if is_next:
                        aim.shoot()
                    self.close_connection = True
                    return
                answer, content = self.forward(body)
                if is_next:
                    aim.shoot()
                    self.close_connection = True
                    return
                with suppress(BrokenPipeError, ConnectionResetError):
                    self.pass_on(answer, content)

            def forward(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                headers = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() not in _HOP_BY_HOP | {"expect"}
                }
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                return answer, content

            def pass_on(self, answer: http.client.HTTPResponse, content: bytes) -> None:
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815 - http.server's

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Those who are killed hang up in the middle."""
