"""The object store from inside: what the controller asks of the real SeaweedFS."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from portside.local.clock import Clock, SystemClock
from portside.local.data_folder import Keys
from portside.local.protocol.message import Request
from portside.local.s3 import seaweedfs
from portside.local.s3.artifact_cache import ObjectMissingError, ObjectStoreUnavailableError
from portside.local.s3.objects import ObjectStore
from portside.local.s3.seaweedfs_process import SeaweedProcess
from portside.local.signature.sigv4 import Seed

KEYS = Keys(access_key_id="PSIDLOCALEXAMPLE1234", secret_access_key="secret" * 6)


FAKE = f"""#!{sys.executable}
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import sys

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if "silent" in self.path:
            self.close_connection = True
            return
        self.send_response(200 if "cut" in self.path or self.path == "/healthz" else 503)
        self.send_header("Content-Length", "1000" if "cut" in self.path else "0")
        self.end_headers()
        self.close_connection = "cut" in self.path

    do_HEAD = do_GET

(port,) = [option[9:] for option in sys.argv if option.startswith("-s3.port=")]
ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""
"""A program that is started like SeaweedFS, is ready, and gives nobody an object."""


@asynccontextmanager
async def started(
    folder: Path, *, program: str, clock: Clock | None = None
) -> AsyncIterator[ObjectStore]:
    clock = clock or SystemClock()
    source = SeaweedProcess(folder, program=program, keys=KEYS, clock=clock)
    objects = ObjectStore(source, region="us-east-1", clock=clock)
    await objects.start()
    try:
        yield objects
    finally:
        await objects.stop()


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[ObjectStore]:
    async with started(tmp_path / "objects", program=seaweedfs.find_program()) as objects:
        yield objects


@pytest.fixture
def fake_program(tmp_path: Path) -> str:
    program = tmp_path / "weed"
    program.write_text(FAKE)
    program.chmod(0o700)
    return str(program)


async def test_an_object_is_found_and_fetched(objects: ObjectStore, tmp_path: Path) -> None:
    await put(objects, "/models")
    await put(objects, "/models/a%20fold%C3%A9r/model.tar.gz", b"content" * 100_000)
    there = ("models", "a foldér/model.tar.gz")

    assert await objects.exists(*there)
    await objects.download(*there, to=tmp_path / "model")

    assert (tmp_path / "model").read_bytes() == b"content" * 100_000


async def test_what_is_missing_is_missing(objects: ObjectStore, tmp_path: Path) -> None:
    await put(objects, "/models")

    for bucket in ("models", "missing-bucket", "b b", "b%20b", "b?b", "..", ""):
        assert not await objects.exists(bucket, "missing")
        with pytest.raises(ObjectMissingError, match=re.escape(f"s3://{bucket}/missing")):
            await objects.download(bucket, "missing", to=tmp_path / "model")
        assert not (tmp_path / "model").exists()


async def test_it_answers_nobody_but_the_gateway(objects: ObjectStore, tmp_path: Path) -> None:
    await put(objects, "/models")
    url = f"http://127.0.0.1:{port_of(tmp_path, 's3.port')}/"

    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        await asyncio.to_thread(urllib.request.urlopen, url)

    caught.value.close()


@pytest.mark.parametrize("key", ["fails", "silent", "cut"])
async def test_a_store_that_does_not_answer_is_unavailable(
    tmp_path: Path, fake_program: str, key: str
) -> None:
    async with started(tmp_path / "objects", program=fake_program) as objects:
        with pytest.raises(ObjectStoreUnavailableError, match=f"s3://models/{key}"):
            await objects.download("models", key, to=tmp_path / "model")
        if key != "cut":  # a HEAD has no body that could be
            with pytest.raises(ObjectStoreUnavailableError, match=f"s3://models/{key}"):
                await objects.exists("models", key)


async def test_a_process_that_cannot_be_written_down_is_ended(
    tmp_path: Path, fake_program: str
) -> None:
    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            if seconds >= 1:  # the delay before another start
                failed.set()
                await asyncio.Event().wait()
            await super().sleep(seconds)

    failed, before = asyncio.Event(), set(psutil.Process().children())
    (tmp_path / "objects" / "process.json").mkdir(parents=True)  # as good as a full disk

    async with started(tmp_path / "objects", program=fake_program, clock=Clock()):
        await asyncio.wait_for(failed.wait(), 10)

        assert set(psutil.Process().children()) <= before


# --- Past S3 -----------------------------------------------------------------


async def test_nobody_speaks_grpc_without_the_certificate(
    objects: ObjectStore, tmp_path: Path
) -> None:
    await put(objects, "/models")
    settings = tmp_path / "objects" / ".seaweedfs"
    context = ssl.create_default_context(cafile=settings / "certificate.pem")
    context.set_alpn_protocols(["h2"])
    stranger = ssl.create_default_context(cafile=settings / "certificate.pem")
    stranger.set_alpn_protocols(["h2"])
    context.load_cert_chain(settings / "certificate.pem", settings / "key.pem")

    for name in ("master.port.grpc", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc"):
        port = port_of(tmp_path, name)
        assert await asyncio.to_thread(greet, port, context), name
        assert not await asyncio.to_thread(greet, port, stranger), name
        assert not await asyncio.to_thread(greet, port, None), name


async def test_nobody_reaches_a_volume_without_a_token(
    objects: ObjectStore, tmp_path: Path
) -> None:
    await put(objects, "/models")
    await put(objects, "/models/big", b"content" * 100_000)
    url = f"http://127.0.0.1:{port_of(tmp_path, 'volume.port')}/1,0fffffff12345678"

    for method, body in (("GET", None), ("POST", b"x"), ("DELETE", None)):
        request = urllib.request.Request(url, data=body, method=method)
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            await asyncio.to_thread(urllib.request.urlopen, request)
        caught.value.close()


def port_of(tmp_path: Path, name: str) -> int:
    command = seaweedfs.command_line("", Path(), ports=ports_of(tmp_path))
    (port,) = [option.partition("=")[2] for option in command if option.startswith(f"-{name}=")]
    return int(port)


def ports_of(tmp_path: Path) -> list[int]:
    return [int(port) for port in (tmp_path / "objects" / "ports").read_text().split()]


def greet(port: int, context: ssl.SSLContext | None) -> bytes:
    """What is answered to the first bytes of HTTP/2; nothing where they are not welcome."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            if context is None:
                plain.sendall(preface)
                return plain.recv(100)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:
                wrapped.sendall(preface)
                return wrapped.recv(100)
    except (ssl.SSLError, ConnectionError):
        return b""


async def put(objects: ObjectStore, path: str, body: bytes = b"") -> None:
    """A request as the gateway passes it on, when it is proved."""
    headers = (("host", "127.0.0.1"), ("content-length", str(len(body))))
    request = Request(method="PUT", path=path, query="", headers=headers)

    async def content() -> AsyncIterator[bytes]:
        yield body

    seed = Seed(key=b"", timestamp="", scope="", signature="")  # for a body in signed chunks
    body_hash = hashlib.sha256(body).hexdigest()
    answer = await objects.forward(request, content(), body_hash=body_hash, seed=seed)
    assert answer.status == 200
