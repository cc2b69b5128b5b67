"""The objects: S3's requests passed on to the store that keeps them, and used inside.

    S3 request, proved ──forward──▶ signed anew ──▶ store ──▶ answer, streamed both ways
    controller, CreateModel ──exists, download──▶ store
    data capture ──put──▶ store

The store is a SeaweedFS of our own, or one that was there before us: `Source` is what is
known of it. It has keys of its own and checks the signature that it gets, and the checksums
that SDKs add to a payload. While it is not there, S3 answers 503, which SDKs retry, and all
else goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from portside.local.clock import Clock
from portside.local.data_folder import Keys
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import ClientGoneError, Request, Response
from portside.local.refusal import unavailable
from portside.local.s3.artifact_cache import ObjectMissingError, ObjectStoreUnavailableError
from portside.local.s3.store_signature import Signer
from portside.local.signature import signed_chunk
from portside.local.signature.canonical import split_bucket
from portside.local.signature.sigv4 import Seed

PATIENCE_S: Final = 30.0
"""How long a request waits for a store that is starting, which takes about a second."""
_INSIDE_TIMEOUT: Final = aiohttp.ClientTimeout(
    total=None, sock_connect=PATIENCE_S, sock_read=PATIENCE_S
)
"""For each piece of an answer: a model may be big, but a store nearby is not slow."""
_CHUNK_BYTES: Final = 256 * 1024

_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding"}
)
"""Headers of one connection, RFC 9110 section 7.6.1; both sides make their own."""
_NOT_FORWARDED: Final = _HOP_BY_HOP | {"expect"}
"""The gateway has told the client to continue by the time it reads the body."""


class Source(Protocol):
    """The store that keeps the objects."""

    @property
    def keys(self) -> Keys:
        """With which requests to it are signed."""
        ...

    @property
    def state(self) -> str:
        """How it fares, for those who ask."""
        ...

    @property
    def takes_any_host(self) -> bool:
        """Whether the client's Host may stand, so that addresses in answers are the gateway's."""
        ...

    @property
    def absence(self) -> str:
        """What S3 answers while it cannot be reached."""
        ...

    async def start(self) -> None:
        """Begin to start it; who needs it waits for its address."""
        ...

    async def stop(self) -> None:
        """Leave it in order."""
        ...

    async def url(self) -> str:
        """Its address, without a path, when it is ready; raises TimeoutError."""
        ...


class ObjectStore:
    """What the gateway and the controller know of the store, between `start` and `stop`."""

    def __init__(self, source: Source, *, region: str, clock: Clock) -> None:
        self._source = source
        self._signer = Signer(keys=source.keys, region=region)
        self._region = region
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    @property
    def state(self) -> str:
        """How the store fares."""
        return self._source.state

    async def start(self) -> None:
        """Begin to start the store; requests wait until it is ready."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(sock_connect=PATIENCE_S),
        )
        await self._source.start()

    async def stop(self) -> None:
        """End the store where it is ours."""
        await self._source.stop()
        if self._session is not None:
            await self._session.close()

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the object store was not started")
        return self._session

    # --- Passing on ----------------------------------------------------------

    async def forward(
        self, request: Request, body: AsyncIterator[bytes], *, body_hash: str, seed: Seed | None
    ) -> Response:
        """Pass a proved request on; body and answer are streamed.

        `body_hash` is what the client declared, `seed` what its chunks' signatures go on from.
        """
        has_body = request.header("content-length") not in {None, "0"} or (
            request.header("transfer-encoding") is not None
        )
        try:
            url = await self._source.url()
            host = None if self._source.takes_any_host else urlsplit(url).netloc
            signed, ours = self._sign(_by_path(request, host=host), body_hash=body_hash)
            if seed is not None and body_hash.startswith(signed_chunk.DECLARED):
                body = signed_chunk.sign_anew(body, theirs=seed, ours=ours)
            answer = await self._http.request(
                signed.method,
                _url(url, signed.path, signed.query),
                headers=[pair for pair in signed.headers if pair[0] not in _NOT_FORWARDED],
                data=body if has_body else None,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, Fault | ClientGoneError):  # raised by the body
                raise error.__cause__ from error
            raise unavailable(self._source.absence) from error
        if answer.status == 409 and _creates_bucket(signed):
            return await self._bucket_again(signed, answer)
        return Response(status=answer.status, headers=_headers(answer), body=_pieces(answer))

    def _sign(self, request: Request, *, body_hash: str) -> tuple[Request, Seed]:
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        return self._signer.sign(request, body_hash=body_hash, now=now)

    async def _bucket_again(self, request: Request, answer: aiohttp.ClientResponse) -> Response:
        """To create a bucket that is the caller's already is a success in us-east-1.

        S3 API Reference, CreateBucket, BucketAlreadyOwnedByYou: "except in the North
        Virginia Region".
        """
        body = await answer.read()
        if self._region == "us-east-1" and b"BucketAlreadyOwnedByYou" in body:
            return Response(status=200, headers=(("Location", request.path),))
        return Response(status=answer.status, headers=_headers(answer), body=body)

    # --- Used inside ---------------------------------------------------------

    async def exists(self, bucket: str, key: str) -> bool:
        """Whether there is such an object; raises `ObjectStoreUnavailableError`."""
        async with self._ask("HEAD", bucket, key) as answer:
            return answer.status == 200

    async def download(self, bucket: str, key: str, *, to: Path) -> None:
        """Write the object to a new file.

        Raises `ObjectMissingError` where there is none, `ObjectStoreUnavailableError` where
        the store does not answer to the end; then part of the object is in the file.
        """
        async with self._ask("GET", bucket, key) as answer:
            if answer.status != 200:
                raise ObjectMissingError(f"s3://{bucket}/{key}")
            with await asyncio.to_thread(to.open, "xb") as file:
                async for piece in answer.content.iter_chunked(_CHUNK_BYTES):
                    await asyncio.to_thread(file.write, piece)

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        """Keep an object.

        Raises `ObjectMissingError` where there is no such bucket, and
        `ObjectStoreUnavailableError` where the store cannot keep it now.
        """
        async with self._ask("PUT", bucket, key, body=body) as answer:
            if answer.status != 200:
                raise ObjectMissingError(f"s3://{bucket}/{key}: status {answer.status}")

    @asynccontextmanager
    async def _ask(
        self, method: str, bucket: str, key: str, *, body: bytes = b""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The store's answer; any refusal of its own means that there is no such object."""
        try:
            url = await self._source.url()
            path = f"/{quote(bucket, safe='')}/{quote(key, safe='/~')}"
            headers = (("host", urlsplit(url).netloc),)
            asked = Request(method=method, path=path, query="", headers=headers)
            signed, _ = self._sign(asked, body_hash=hashlib.sha256(body).hexdigest())
            async with self._http.request(
                method,
                _url(url, path),
                headers=signed.headers,
                data=body or None,
                allow_redirects=False,  # as for a bucket named `..`, whose path it would tidy
                timeout=_INSIDE_TIMEOUT,
            ) as answer:
                if answer.status >= 500:
                    answer.raise_for_status()
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ObjectStoreUnavailableError(f"s3://{bucket}/{key}") from error


# --- Pieces ------------------------------------------------------------------


def _by_path(request: Request, *, host: str | None) -> Request:
    """The request with its bucket in the path, and for another host where one is given."""
    asked, path = split_bucket(request)
    others = tuple(pair for pair in request.headers if pair[0] != "host")
    return replace(request, path=path, headers=(("host", host or asked), *others))


def _url(base: str, path: str, query: str = "") -> URL:
    """The address with path and query byte for byte, as they were signed."""
    return URL(f"{base}{path}?{query}" if query else base + path, encoded=True)


def _headers(answer: aiohttp.ClientResponse) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
    )


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece


def _creates_bucket(request: Request) -> bool:
    return request.method == "PUT" and "/" not in request.path.strip("/") and not request.query
