"""The calls to instances, against a server that says what a test tells it to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from portside.local.instance.instance_client import (
    Answer,
    ConnectionLostError,
    InstanceClient,
    InvocationTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Amzn-SageMaker-Custom-Attributes: a\r\n\r\nok"


@dataclass
class RawServer:
    """Answers every request with `answer`, or never, and keeps what it read."""

    answer: bytes | None = OK
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        if self.answer is None:
            await reader.read()
        else:
            writer.write(self.answer)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    raw = RawServer()
    async with await asyncio.start_server(raw.serve, "127.0.0.1", 0) as listening:
        raw.port = listening.sockets[0].getsockname()[1]
        yield raw


@pytest.fixture
async def client() -> AsyncIterator[InstanceClient]:
    opened = InstanceClient()
    yield opened
    await opened.close()


async def invoke(client: InstanceClient, port: int, **headers: str) -> Answer:
    return await client.invoke(
        port, headers=headers, body=b"{}", timeout_s=0.3, max_answer_bytes=100
    )


async def test_only_the_headers_given_are_sent(client: InstanceClient, server: RawServer) -> None:
    answer = await invoke(client, server.port, Accept="text/csv")

    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "a"
    request_line, *headers = server.requests[0].decode().strip().split("\r\n")
    assert request_line == "POST /invocations HTTP/1.1"
    assert sorted(headers) == [
        "Accept: text/csv",
        "Content-Length: 2",
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: AHC/2.0",
    ]


@pytest.mark.parametrize(
    ("answer", "is_healthy"),
    [
        (OK, True),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", False),
        (b"nonsense\r\n\r\n", False),
        (b"", False),
    ],
)
async def test_ping(
    client: InstanceClient, server: RawServer, answer: bytes, *, is_healthy: bool
) -> None:
    server.answer = answer

    assert await client.ping(server.port) is is_healthy


async def test_nobody_there(client: InstanceClient, server: RawServer) -> None:
    assert not await client.ping(1)
    with pytest.raises(ConnectionLostError):
        await invoke(client, 1)


async def test_an_answer_that_does_not_come(client: InstanceClient, server: RawServer) -> None:
    server.answer = None

    with pytest.raises(InvocationTimeoutError):
        await invoke(client, server.port)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"])
async def test_a_connection_cut_before_the_end(
    client: InstanceClient, server: RawServer, answer: bytes
) -> None:
    server.answer = answer

    with pytest.raises(ConnectionLostError):
        await invoke(client, server.port)


async def test_an_answer_over_the_limit_is_not_read(
    client: InstanceClient, server: RawServer
) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101

    assert (await invoke(client, server.port)).body is None


async def test_what_is_compressed_stays_so(client: InstanceClient, server: RawServer) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"

    assert (await invoke(client, server.port)).body == b"abc"
