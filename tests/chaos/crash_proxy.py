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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qs

_HOP_BY_HOP: Final = {"connection", "keep-alive", "transfer-encoding"}
"""Of one connection alone. RFC 9110, 7.6.1."""

_PID_S: Final = 10.0


@dataclass
class Aim:
    """Kill at the `number`th request (from 1; 0 never). `calls` are those that came so far.

    The request is passed on and acted on; its answer is lost with the process. To kill before it
    arrives would leave what a kill at the request before it leaves.
    """

    number: int = 0
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


_S3: Final = {
    "encryption": "BucketEncryption",
    "publicAccessBlock": "PublicAccessBlock",
    "versioning": "BucketVersioning",
    "versions": "ListObjectVersions",
    "list-type": "ListObjectsV2",
    "delete": "DeleteObjects",
}
_S3_METHODS: Final = {"PUT": "Put", "GET": "Get", "HEAD": "Head", "DELETE": "Delete"}


def operation_of(method: str, path: str, *, target: str, body: bytes) -> str:
    """What AWS calls a request."""
    if target:
        return target.rpartition(".")[2]
    if b"Action=" in body[:200]:
        return parse_qs(body.decode())["Action"][0]
    place, _, query = path.partition("?")
    if place.startswith("/endpoints/"):
        return "InvokeEndpoint"
    asked, is_object = set(parse_qs(query, keep_blank_values=True)), "/" in place.strip("/")
    if asked & {"uploads", "uploadId", "partNumber"}:
        return _multipart(method, is_object=is_object, is_part="partNumber" in asked)
    if is_object:
        return f"{_S3_METHODS[method]}Object"
    name = next((_S3[one] for one in asked if one in _S3), "Bucket")
    if name == "Bucket":
        return "CreateBucket" if method == "PUT" else f"{_S3_METHODS[method]}Bucket"
    return name if name.startswith(("List", "Delete")) else f"{_S3_METHODS[method]}{name}"


def _multipart(method: str, *, is_object: bool, is_part: bool) -> str:
    if not is_object:
        return "ListMultipartUploads"
    if method == "POST":
        return "Create or CompleteMultipartUpload"
    return "UploadPart" if is_part else "AbortMultipartUpload"


class Proxy:
    """Passes requests on to `port` on this machine."""

    def __init__(self, port: int) -> None:
        self.aim = Aim()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                aim = owner.aim
                target = self.headers.get("X-Amz-Target", "")
                call = operation_of(self.command, self.path, target=target, body=body)
                is_next = aim.is_next(call)
                if aim.is_killed:  # it came from another thread of the same process
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
