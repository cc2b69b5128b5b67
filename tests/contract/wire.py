"""HTTP/1.1 as bytes on a socket, because client libraries mend on the way what a suite must see.

A `Wire` is one connection. It reads answers strictly: a body that is shorter or
longer than its framing says, a chunk without its end, a header without a colon
are errors here, where a library would shrug.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

PATIENCE_S: Final = 60.0
"""SageMaker's own for an answer. API Reference, InvokeEndpoint."""


class WireError(Exception):
    """What came back is not HTTP/1.1, or the connection ended in the middle of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The status line and the headers of an answer, by their names in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Head):
    """A whole answer."""

    body: bytes
    seconds: float
    """From the call that waits for it."""

    @property
    def text(self) -> str:
        """The body, for messages and for looking into it."""
        return self.body.decode(errors="replace")


def request_bytes(
    method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """A request as it goes over the wire; `headers` win over the usual ones."""
    given = dict(headers or {})
    usual = {"Host": "contract.test"}
    if method == "POST" and "Transfer-Encoding" not in given:
        usual["Content-Length"] = str(len(body))
    lines = [f"{name}: {value}" for name, value in (usual | given).items()]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
    return head.encode("latin-1") + body


class Wire:
    """One connection to a server."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float = PATIENCE_S,
        receive_bytes: int | None = None,
    ) -> None:
        started = time.monotonic()
        self.socket = socket.socket()
        self.socket.settimeout(timeout_s)
        if receive_bytes is not None:
            # Before connecting, or the server is told of a larger window.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            self.socket.connect((host, port))
        except OSError:
            self.socket.close()
            raise
        self.connect_s = time.monotonic() - started
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    # --- Sending ----------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send a request and read its answer; one that is refused early may end the sending."""
        # Refused in the middle of the body: why it was is in the answer.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send(request_bytes(method, path, headers=headers, body=body))
        return self.read_answer(method)

    # --- Reading ----------------------------------------------------------------------

    def read_answer(self, method: str = "GET") -> Answer:
        """The next answer, whole; `method` is that of its request."""
        started = time.monotonic()
        head = self.read_head()
        chunks = [] if method == "HEAD" or head.status in {204, 304} else self.read_chunks(head)
        body = b"".join(chunks)
        return Answer(
            status=head.status, headers=head.headers, body=body, seconds=time.monotonic() - started
        )

    def read_head(self) -> Head:
        """The next status line and headers, those of a 1xx included."""
        version, _, status_line = self._line().partition(" ")
        status = status_line[:3]
        if not version.startswith("HTTP/1.") or not status.isdecimal():
            raise WireError(f"not a status line: {version} {status_line}")
        headers: dict[str, str] = {}
        while line := self._line():
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise WireError(f"not a header: {line!r}")
            headers[name.lower()] = value.strip()
        return Head(status=int(status), headers=headers)

    def read_chunks(self, head: Head) -> Iterator[bytes]:
        """The body that follows a head, as it arrives: chunk by chunk if it is sent so."""
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            yield from self._transfer_chunks()
        elif "content-length" in head.headers:
            yield self._exactly(int(head.headers["content-length"]))
        else:
            yield from self._until_closed()

    def is_closed(self, *, within_s: float = PATIENCE_S) -> bool:
        """Whether the server ends the connection in that time, without another byte."""
        self.socket.settimeout(within_s)
        try:
            return not self._unread and not self.socket.recv(1)
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _transfer_chunks(self) -> Iterator[bytes]:
        while size := int(self._line().partition(";")[0], 16):
            yield self._exactly(size)
            if self._line():
                raise WireError("a chunk is longer than it says")
        while self._line():  # trailers
            pass

    def _until_closed(self) -> Iterator[bytes]:
        data, self._unread = self._unread, b""
        if data:
            yield data
        while data := self.socket.recv(65536):
            yield data

    def _line(self) -> str:
        while b"\r\n" not in self._unread:
            self._more("a line")
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line.decode("latin-1")

    def _exactly(self, size: int) -> bytes:
        parts, missing = [self._unread[:size]], size - len(self._unread)
        self._unread = self._unread[size:]
        while missing > 0:
            self._more("a body")
            parts.append(self._unread[:missing])
            self._unread = self._unread[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def _more(self, what: str) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise WireError(f"the connection ended in the middle of {what}")
        self._unread += data


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server, and a request for a prediction that it understands."""

    url: str
    body: bytes
    content_type: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def connect(self, *, receive_bytes: int | None = None) -> Wire:
        """A new connection; `receive_bytes` keeps small what arrives before it is read."""
        return Wire(*self.address, receive_bytes=receive_bytes)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """The answer to a request on a connection of its own."""
        with self.connect() as wire:
            return wire.ask(method, path, headers=headers, body=body)

    def ping(self) -> Answer:
        """The answer to `GET /ping`."""
        return self.ask("GET", "/ping")

    def invoke(self, body: bytes | None = None, **headers: str) -> Answer:
        """The answer to a prediction; header names with `_` for `-`. `body` defaults to a good one.

        `Content_Type=""` leaves the header out.
        """
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": self.content_type} | given
        return self.ask(
            "POST",
            "/invocations",
            headers={name: value for name, value in sent.items() if value},
            body=self.body if body is None else body,
        )

    def invocation(self, **headers: str) -> bytes:
        """The bytes of a good request for a prediction."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": self.content_type} | given
        return request_bytes("POST", "/invocations", headers=sent, body=self.body)

    @property
    def chunked_head(self) -> bytes:
        """The bytes before a body that follows in chunks."""
        headers = {"Content-Type": self.content_type, "Transfer-Encoding": "chunked"}
        return request_bytes("POST", "/invocations", headers=headers)
