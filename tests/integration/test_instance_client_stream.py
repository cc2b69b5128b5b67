"""Answers of instances as they come, against a server that sends them piece by piece."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from portside.local.instance.instance_client import (
    ConnectionLostError,
    InstanceClient,
    InvocationTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from portside.local.instance.instance_client import Stream

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


@dataclass
class ChunkServer:
    """Sends the first chunk, the second when it is let, and then as it is told."""

    end: bytes | None = LAST
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(HEAD + b"3\r\none\r\n")
        waiting = asyncio.create_task(self.may_go_on.wait())
        gone = asyncio.create_task(reader.read())
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if gone.done():
            self.hung_up.set()
        elif self.end is not None:
            writer.write(b"3\r\ntwo\r\n" + self.end)
        gone.cancel()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[ChunkServer]:
    chunks = ChunkServer()
    async with await asyncio.start_server(chunks.serve, "127.0.0.1", 0) as listening:
        chunks.port = listening.sockets[0].getsockname()[1]
        yield chunks


@pytest.fixture
async def client() -> AsyncIterator[InstanceClient]:
    opened = InstanceClient()
    yield opened
    await opened.close()


def stream(
    client: InstanceClient, server: ChunkServer, *, timeout_s: float = 5
) -> AbstractAsyncContextManager[Stream]:
    return client.stream(server.port, headers={}, body=b"{}", timeout_s=timeout_s)


async def test_a_chunk_is_there_when_it_is_sent(
    client: InstanceClient, server: ChunkServer
) -> None:
    async with stream(client, server) as answer:
        assert await anext(answer.chunks) == b"one"
        server.may_go_on.set()
        assert b"".join([chunk async for chunk in answer.chunks]) == b"two"


async def test_the_time_is_for_all_of_it(client: InstanceClient, server: ChunkServer) -> None:
    async with stream(client, server, timeout_s=0.2) as answer:
        assert await anext(answer.chunks) == b"one"
        with pytest.raises(InvocationTimeoutError):
            await anext(answer.chunks)


async def test_a_stream_that_is_cut(client: InstanceClient, server: ChunkServer) -> None:
    server.end = b"9\r\nthr"
    server.may_go_on.set()

    async with stream(client, server) as answer:
        with pytest.raises(ConnectionLostError):
            [chunk async for chunk in answer.chunks]


async def test_whoever_leaves_early_hangs_up(client: InstanceClient, server: ChunkServer) -> None:
    async with stream(client, server) as answer:
        await anext(answer.chunks)

    async with asyncio.timeout(5):
        await server.hung_up.wait()


async def test_more_than_the_limit_is_not_read(client: InstanceClient, server: ChunkServer) -> None:
    server.may_go_on.set()

    async with stream(client, server) as answer:
        assert await answer.read(limit=5) is None
    async with stream(client, server) as answer:
        assert await answer.read(limit=6) == b"onetwo"
