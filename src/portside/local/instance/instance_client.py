"""HTTP to instances: the two calls that SageMaker makes of a container.

Connections are kept between calls, but shorter than any usual server keeps
them (gunicorn 2 s, uvicorn 5 s), so that none is found closed when it is used.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from portside.contract import INVOCATIONS_PATH, PING_PATH, PING_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

_KEEPALIVE_S: Final = 1.0
_USER_AGENT: Final = "AHC/2.0"
"""What containers see in their access logs on SageMaker: aws/sagemaker-python-sdk#1554."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an instance answered; `body` is None when it is over the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What an instance is answering: `chunks` as they come.

    They raise `InvocationTimeoutError` and `ConnectionLostError`.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]

    async def read(self, *, limit: int) -> bytes | None:
        """All of them; None as soon as they are more than so many bytes."""
        if int(self.headers.get("Content-Length", 0)) > limit:
            return None
        pieces: list[bytes] = []
        size = 0
        async for chunk in self.chunks:
            size += len(chunk)
            if size > limit:
                return None
            pieces.append(chunk)
        return b"".join(pieces)


class InvocationTimeoutError(Exception):
    """The instance did not answer in time."""


class ConnectionLostError(Exception):
    """The instance cannot be reached, or ended before it had answered."""


class InstanceClient:
    """Calls to instances on 127.0.0.1; opened at the first call, closed with `close`."""

    def __init__(self) -> None:
        self._opened: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.close()

    async def ping(self, port: int) -> bool:
        """Whether `/ping` answers 200 within 2 s."""
        try:
            async with self._session().get(
                f"http://127.0.0.1:{port}{PING_PATH}",
                timeout=aiohttp.ClientTimeout(total=PING_TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def invoke(
        self,
        port: int,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        max_answer_bytes: int,
    ) -> Answer:
        """`POST /invocations`; raises `InvocationTimeoutError` and `ConnectionLostError`."""
        async with self.stream(port, headers=headers, body=body, timeout_s=timeout_s) as answer:
            return Answer(
                status=answer.status,
                headers=answer.headers,
                body=await answer.read(limit=max_answer_bytes),
            )

    @asynccontextmanager
    async def stream(
        self, port: int, *, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> AsyncIterator[Stream]:
        """`POST /invocations`, the answer as it comes; `timeout_s` is for all of it.

        Raises as `invoke` does. Whoever leaves before the end closes the connection, and
        the instance can see that nobody waits any more.
        """
        with _failures():
            response = await self._session().post(
                f"http://127.0.0.1:{port}{INVOCATIONS_PATH}",
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            )
        try:
            yield Stream(status=response.status, headers=response.headers, chunks=_chunks(response))
        finally:
            response.release()

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
                headers={"User-Agent": _USER_AGENT},
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type"),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._opened


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    while True:
        with _failures():
            chunk = await response.content.readany()
        if not chunk:
            return
        yield chunk


@contextmanager
def _failures() -> Iterator[None]:
    """The client library's errors as ours."""
    try:
        yield
    except TimeoutError as error:
        raise InvocationTimeoutError from error
    except (aiohttp.ClientError, OSError) as error:
        raise ConnectionLostError(str(error)) from error
