"""The object store: SeaweedFS as a child process, its S3 API passed through, and used inside.

    S3 request, signature checked ──forward──▶ SeaweedFS ──▶ answer, streamed both ways
    controller, CreateModel ──exists, download──▶ SeaweedFS

SeaweedFS has the same keys as the gateway. A request reaches it with the path, query,
Host and Authorization that the client sent, so it checks the signature again, and the
checksums that SDKs add to a payload. Where it dies it is started again; while it is
not there, S3 answers 503, which SDKs retry, and all else goes on.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from portside.local import leftover, seaweedfs
from portside.local.artifact_cache import ObjectMissingError, ObjectStoreUnavailableError
from portside.local.clock import Clock
from portside.local.data_folder import Keys
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import ClientGoneError, Request, Response
from portside.local.refusal import unavailable

READY_TIMEOUT_S: Final = 30.0
"""How long an S3 request waits for a store that is starting; it takes about a second."""
_INSIDE_TIMEOUT: Final = aiohttp.ClientTimeout(
    total=None, sock_connect=READY_TIMEOUT_S, sock_read=READY_TIMEOUT_S
)
"""For each piece of an answer: a model may be big, but a store on this machine is not slow."""
_POLL_S: Final = 0.02
_RESTART_DELAY_S: Final = 1.0
_STOP_GRACE_S: Final = 10.0
"""SIGTERM to SIGKILL; SeaweedFS needs about a second to write its volumes out."""
_CHUNK_BYTES: Final = 256 * 1024

_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding"}
)
"""Headers of one connection, RFC 9110 section 7.6.1; both sides make their own."""
_NOT_FORWARDED: Final = _HOP_BY_HOP | {"expect"}
"""The gateway has told the client to continue by the time it reads the body."""
_NOT_RUNNING: Final = "The object store is not running. Its output is in objects.log."

_log = logging.getLogger(__name__)


class ObjectStore:
    """Runs between `start` and `stop`, which do not wait for it to be ready."""

    def __init__(
        self, folder: Path, *, program: str, keys: Keys, region: str, clock: Clock
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._region = region
        self._clock = clock
        self._program = program
        self._ready = asyncio.Event()
        self._url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._life: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    # --- Life ----------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether it answers now."""
        return self._ready.is_set()

    async def start(self) -> None:
        """Begin to start it; requests wait until it is ready."""
        leftover.end(self._folder / "process.json")
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(sock_connect=READY_TIMEOUT_S),
        )
        self._life = asyncio.create_task(self._live())

    async def stop(self) -> None:
        """End it, with time to write out what it holds."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        if self._process is not None:
            await _end(self._process)
            seaweedfs.sweep(self._folder)
        if self._session is not None:
            await self._session.close()

    async def _live(self) -> None:
        """Start it, and again whenever it ends by itself."""
        while True:
            try:
                self._process = await self._spawn()
            except OSError:
                _log.exception("the object store cannot be started")
                await self._clock.sleep(_RESTART_DELAY_S)
                continue
            waiting = asyncio.create_task(self._become_ready())
            try:
                code = await self._process.wait()
            finally:
                waiting.cancel()
                self._ready.clear()
            _log.error("the object store ended with exit code %d; see objects.log", code)
            await self._clock.sleep(_RESTART_DELAY_S)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._folder.mkdir(parents=True, exist_ok=True)
        seaweedfs.sweep(self._folder)
        await asyncio.to_thread(seaweedfs.shut, self._folder)
        ports = seaweedfs.free_ports()
        seaweedfs.keep_ports(self._folder, ports)
        self._url = f"http://{seaweedfs.LOOPBACK}:{ports[0]}"
        command = seaweedfs.command_line(self._program, self._folder, ports=ports)
        with (self._folder.parent / "objects.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=seaweedfs.environment(self._keys, self._folder),
                start_new_session=True,  # Ctrl-C in the terminal is for the gateway to pass on
            )
        try:
            leftover.write_down(self._folder / "process.json", pid=process.pid)
        except OSError:
            process.kill()  # a process that nobody knows of would outlive us
            await process.wait()
            raise
        return process

    async def _become_ready(self) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self._http.get(f"{self._url}/healthz") as answer:
                    if answer.status == 200:
                        self._ready.set()
                        return
            await self._clock.sleep(_POLL_S)

    @property
    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the object store was not started")
        return self._session

    async def _when_ready(self) -> None:
        """Wait for a store that is starting; raises TimeoutError."""
        await asyncio.wait_for(self._ready.wait(), READY_TIMEOUT_S)

    # --- Passing through -----------------------------------------------------

    async def forward(self, request: Request, body: AsyncIterator[bytes]) -> Response:
        """Pass a request of S3 on; body and answer are streamed."""
        has_body = request.header("content-length") not in {None, "0"} or (
            request.header("transfer-encoding") is not None
        )
        try:
            await self._when_ready()
            answer = await self._http.request(
                request.method,
                _url(self._url, request.path, request.query),
                headers=[pair for pair in request.headers if pair[0] not in _NOT_FORWARDED],
                data=body if has_body else None,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, Fault | ClientGoneError):  # raised by the body
                raise error.__cause__ from error
            raise unavailable(_NOT_RUNNING) from error
        if answer.status == 409 and _creates_bucket(request):
            return await self._bucket_again(request, answer)
        return Response(status=answer.status, headers=_headers(answer), body=_pieces(answer))

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

    @asynccontextmanager
    async def _ask(
        self, method: str, bucket: str, key: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The store's answer; any refusal of its own means that there is no such object."""
        try:
            await self._when_ready()
            path = f"/{quote(bucket, safe='')}/{quote(key, safe='/~')}"
            signed = AWSRequest(method=method, url=self._url + path)
            credentials = Credentials(self._keys.access_key_id, self._keys.secret_access_key)
            S3SigV4Auth(credentials, "s3", self._region).add_auth(signed)
            async with self._http.request(
                method,
                _url(self._url, path),
                headers=dict(signed.headers.items()),
                allow_redirects=False,  # as for a bucket named `..`, whose path it would tidy
                timeout=_INSIDE_TIMEOUT,
            ) as answer:
                if answer.status >= 500:
                    answer.raise_for_status()
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ObjectStoreUnavailableError(f"s3://{bucket}/{key}") from error


# --- Pieces ------------------------------------------------------------------


def _url(base: str, path: str, query: str = "") -> URL:
    """The address with path and query byte for byte, as they were signed."""
    return URL(f"{base}{path}?{query}" if query else base + path, encoded=True)


def _headers(answer: aiohttp.ClientResponse) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
    )


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece


def _creates_bucket(request: Request) -> bool:
    return request.method == "PUT" and "/" not in request.path.strip("/") and not request.query


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_GRACE_S)
