"""Between ASGI and the values of `protocol.message`: heads as they came, bodies in pieces."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from portside.local.protocol.fault import Fault
from portside.local.protocol.message import ClientGoneError, Pieces, Request, Response

T = TypeVar("T")

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def read_request(scope: Scope) -> Request:
    """The head of a request, byte for byte."""
    return Request(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
        received_s=time.monotonic(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """An answer as it is sent; to have one is to know that its head can be."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | Pieces


def encode_response(response: Response, *, request_id: str) -> Outgoing:
    """The answer with its id, as all of AWS's have one.

    Raises UnicodeEncodeError for a header that HTTP cannot carry.
    """
    headers = [*response.headers, ("x-amzn-RequestId", request_id)]
    if isinstance(response.body, bytes):
        headers.append(("Content-Length", str(len(response.body))))
    return Outgoing(
        status=response.status,
        headers=[
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ],
        body=response.body,
    )


async def send_response(answer: Outgoing, send: Send, asked: Body) -> None:
    """Send an answer, in pieces where it comes in pieces.

    Raises `ClientGoneError` where the client hangs up before the last piece, and then the
    pieces are given up: an instance shall not go on for nobody.
    """
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await send(start)
    if isinstance(answer.body, bytes):
        await send({"type": "http.response.body", "body": answer.body})
        return
    async with aclosing(answer.body) as pieces:
        if asked.is_read:
            await unless_gone(_send_pieces(pieces, send), asked)
        else:
            await _send_pieces(pieces, send)


async def _send_pieces(pieces: Pieces, send: Send) -> None:
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def unless_gone(work: Coroutine[Any, Any, T], asked: Body) -> T:
    """What the work comes to; it is cancelled, and `ClientGoneError` raised, on a hang-up.

    To be called when the body was read to its end.
    """
    working, gone = asyncio.create_task(work), asyncio.create_task(asked.until_gone())
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)
    return working.result()


class Body:
    """A request's body: read whole within a limit, or iterated over as it comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._digest = hashlib.sha256()
        self.is_read = False  # to its end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces as they come; raises `ClientGoneError`."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            more = message.get("more_body", False)
            self.is_read = not more
            if piece := message.get("body", b""):
                yield piece

    @property
    def sha256(self) -> str:
        """Of a body that `read` has returned."""
        return self._digest.hexdigest()

    async def until_gone(self) -> None:
        """Until the client hangs up, once the body was read to its end."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def checked(self, declared: str) -> AsyncIterator[bytes]:
        """The pieces as they come, the last one only if all together have the declared hash.

        SeaweedFS does not look whether they have. What declares no hash passes: the
        `STREAMING-` forms carry checks of their own, `UNSIGNED-PAYLOAD` wants none.
        """
        digest, held = hashlib.sha256(), b""
        async for piece in self:
            if held:
                yield held
            digest.update(piece)
            held = piece
        if _SHA256.fullmatch(declared) and digest.hexdigest() != declared:
            message = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise Fault("XAmzContentSHA256Mismatch", message)
        if held:
            yield held

    async def read(self, *, limit: int) -> bytes:
        """The whole body; one that is too long is read to its end, so that the client hears why.

        It is hashed on the way: at once, one of 25 MB would hold everybody up.
        """
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            size += len(piece)
            if size <= limit:
                pieces.append(piece)
                self._digest.update(piece)
        if size > limit:
            message = f"HTTP content length exceeded {limit} bytes."
            raise Fault("RequestEntityTooLargeException", message, status=413)
        return b"".join(pieces)
