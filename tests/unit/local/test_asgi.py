"""Bodies between uvicorn and the gateway, both ways."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from portside.local.asgi import Body, encode_response, send_response
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import ClientGoneError, Response


@dataclass
class Client:
    """Sends some pieces, stays or hangs up, and keeps what it is sent."""

    pieces: list[bytes]
    hangs_up: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self) -> Mapping[str, Any]:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}
        await self.hangs_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def got(self) -> list[bytes]:
        return [message["body"] for message in self.sent if "body" in message]


@dataclass
class Answer:
    """Pieces that come when they are let, and whether they were given up."""

    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            await self.may_go_on.wait()
            yield b"two"
        finally:
            self.is_over = True

    async def sent_to(self, client: Client, asked: Body) -> None:
        response = Response(status=200, body=self.pieces())
        await send_response(encode_response(response, request_id="1"), client.send, asked)


async def test_a_body_is_read_and_hashed() -> None:
    body = Body(Client([b"ab", b"", b"c"]).receive)

    assert await body.read(limit=3) == b"abc"
    assert body.sha256 == hashlib.sha256(b"abc").hexdigest()


async def test_a_body_over_the_limit_is_read_to_its_end() -> None:
    client = Client([b"ab", b"cd"])

    with pytest.raises(Fault, match="exceeded 3 bytes"):
        await Body(client.receive).read(limit=3)
    assert client.pieces == []


async def test_an_answer_is_sent_piece_by_piece() -> None:
    client, answer = Client([b""]), Answer()
    asked = Body(client.receive)
    await asked.read(limit=0)
    sending = asyncio.create_task(answer.sent_to(client, asked))
    for _ in range(10):
        await asyncio.sleep(0)

    assert client.got == [b"one"]
    answer.may_go_on.set()
    await sending
    assert client.got == [b"one", b"two", b""]
    assert answer.is_over


async def test_for_a_client_that_hangs_up_the_answer_is_given_up() -> None:
    client, answer = Client([b""]), Answer()
    asked = Body(client.receive)
    await asked.read(limit=0)
    sending = asyncio.create_task(answer.sent_to(client, asked))
    await asyncio.sleep(0)

    client.hangs_up.set()
    with pytest.raises(ClientGoneError):
        await sending
    assert answer.is_over


async def test_what_breaks_an_answer_is_raised() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise OSError("cut")

    client = Client([b""])
    asked = Body(client.receive)
    await asked.read(limit=0)
    outgoing = encode_response(Response(status=200, body=broken()), request_id="1")

    with pytest.raises(OSError, match="cut"):
        await send_response(outgoing, client.send, asked)


async def test_while_a_body_is_still_coming_nobody_else_reads_it() -> None:
    client, answer = Client([b"a", b"b"]), Answer()
    answer.may_go_on.set()

    await answer.sent_to(client, Body(client.receive))

    assert client.pieces == [b"a", b"b"]
    assert client.got == [b"one", b"two", b""]
