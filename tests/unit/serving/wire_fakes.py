"""A connection without a socket: a transport that remembers, a host that counts, a caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

from portside.serving.connection import Connection
from portside.serving.exchange import Exchange
from portside.serving.response import Response
from tests.unit.serving.server_fakes import Clock, Loop

HOST = b"Host: instance\r\n"


def echo(exchange: Exchange) -> None:
    """Answers at once, with what was asked."""
    head = f"{exchange.method} {exchange.path}?{exchange.query} ".encode()
    exchange.respond(Response(status=200, body=head + exchange.body))


class FakeHost:
    """See `connection.Host`; exchanges are remembered and handed to `handler`."""

    def __init__(
        self,
        handler: Callable[[Exchange], None] = echo,
        *,
        max_body_bytes: int = 1000,
        room_bytes: int = 10_000,
    ) -> None:
        self.connections: set[Connection] = set()
        self.clock = Clock()
        self.loop = Loop()
        self.max_body_bytes = max_body_bytes
        self.is_draining = False
        self.exchanges: list[Exchange] = []
        self.held_bytes = 0
        self._handler = handler
        self._room_bytes = room_bytes

    def handle(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._handler(exchange)

    def call_soon(self, function: Callable[[], None]) -> None:
        self.loop.call_soon(function)

    def reserve(self, size_bytes: int) -> bool:
        if self.held_bytes + size_bytes > self._room_bytes:
            return False
        self.held_bytes += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        self.held_bytes -= size_bytes
        assert self.held_bytes >= 0, "more was released than reserved"


class FakeTransport:
    """Remembers what was written; a write after the end is a fault, as is one that is lost."""

    def __init__(self, connection: Connection, *, buffer_bytes: int | None = None) -> None:
        self._connection = connection
        self._buffer_bytes = buffer_bytes
        self._unread_bytes = 0
        self.written = b""
        self.is_reading = True
        self.is_eof_written = False
        self.is_closed = False
        self.is_aborted = False
        self.is_lost = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed, f"written after the end: {data!r}"
        assert not self.is_eof_written, f"written after the end: {data!r}"
        self.written += data
        self._unread_bytes += len(data)
        if self._buffer_bytes is not None and self._unread_bytes > self._buffer_bytes:
            self._connection.pause_writing()

    def be_read(self) -> None:
        """The caller reads all that was written."""
        self._unread_bytes = 0
        if not self._connection.can_write:
            self._connection.resume_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.is_eof_written = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def lose(self) -> None:
        """The connection ends, as seen from the event loop."""
        self.is_closed = True
        if not self.is_lost:
            self.is_lost = True
            self._connection.connection_lost(None)


@dataclass
class Answer:
    """One answer, as a client parses it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_complete: bool = False


class _ResponseParser:
    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.answers.append(Answer())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answers[-1].headers[name.decode().lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.answers[-1].status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.answers[-1].body += body

    def on_message_complete(self) -> None:
        self.answers[-1].is_complete = True


def parse(written: bytes) -> list[Answer]:
    parsing = _ResponseParser()
    parsing.parser.feed_data(written)
    return parsing.answers


class Peer:
    """A caller and its connection."""

    def __init__(self, host: FakeHost | None = None, *, buffer_bytes: int | None = None) -> None:
        self.host = host or FakeHost()
        self.connection = Connection(self.host)
        self.transport = FakeTransport(self.connection, buffer_bytes=buffer_bytes)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]  # all it uses
        self._unsent: list[bytes] = []

    def send(self, *pieces: bytes) -> Peer:
        """Let pieces arrive, so far as they are read; then let the event loop run."""
        self._unsent += pieces
        while self._unsent and self.transport.is_reading and not self.transport.is_closed:
            self.connection.data_received(self._unsent.pop(0))
        self.host.loop.run()
        return self

    def send_bytewise(self, data: bytes) -> Peer:
        return self.send(*[data[index : index + 1] for index in range(len(data))])

    def pass_time(self, seconds: float) -> Peer:
        """Time passes, with a sweep each second."""
        for _ in range(int(seconds)):
            self.host.clock.advance(1.0)
            if not self.transport.is_lost:
                self.connection.sweep(self.host.clock.now)
            if self.transport.is_aborted:
                self.transport.lose()
        return self

    @property
    def answers(self) -> list[Answer]:
        return parse(self.transport.written)

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]

    @property
    def bodies(self) -> list[bytes]:
        return [answer.body for answer in self.answers]


def request(
    target: str = "/invocations",
    *,
    method: str = "POST",
    body: bytes | None = None,
    headers: bytes = b"",
    version: str = "1.1",
) -> bytes:
    """A request, with the length of its body."""
    length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
    start = f"{method} {target} HTTP/{version}\r\n".encode("latin-1")
    return start + HOST + length + headers + b"\r\n" + (body or b"")


def chunked(
    *chunks: bytes, target: str = "/invocations", headers: bytes = b"", trailers: bytes = b""
) -> bytes:
    """A request whose body comes in chunks."""
    start = f"POST {target} HTTP/1.1\r\n".encode("latin-1")
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    coding = b"Transfer-Encoding: chunked\r\n"
    return start + HOST + coding + headers + b"\r\n" + framed + b"0\r\n" + trailers + b"\r\n"
