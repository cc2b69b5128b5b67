"""The object store from inside: what the controller asks of the real SeaweedFS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from portside.local.artifact_cache import ObjectMissingError
from portside.local.clock import SystemClock
from portside.local.data_folder import Keys
from portside.local.objects import ObjectStore
from portside.local.protocol.message import Request

KEYS = Keys(access_key_id="PSIDLOCALEXAMPLE1234", secret_access_key="secret" * 6)


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[ObjectStore]:
    objects = ObjectStore(tmp_path / "objects", keys=KEYS, region="us-east-1", clock=SystemClock())
    await objects.start()
    yield objects
    await objects.stop()


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def test_an_object_is_found_and_fetched(objects: ObjectStore, tmp_path: Path) -> None:
    await put(objects, "/models")
    await put(objects, "/models/a%20fold%C3%A9r/model.tar.gz", b"content" * 100_000)
    there = ("models", "a foldér/model.tar.gz")

    assert await objects.exists(*there)
    await objects.download(*there, to=tmp_path / "model")

    assert (tmp_path / "model").read_bytes() == b"content" * 100_000


@pytest.mark.parametrize("bucket", ["models", "missing-bucket"])
async def test_what_is_missing_is_missing(
    objects: ObjectStore, tmp_path: Path, bucket: str
) -> None:
    await put(objects, "/models")

    assert not await objects.exists(bucket, "missing")
    with pytest.raises(ObjectMissingError, match=f"s3://{bucket}/missing"):
        await objects.download(bucket, "missing", to=tmp_path / "model")
    assert not (tmp_path / "model").exists()


async def test_it_checks_the_signature_itself(objects: ObjectStore) -> None:
    request = Request(method="GET", path="/", query="", headers=(("host", "127.0.0.1"),))

    answer = await objects.forward(request, nothing())

    assert answer.status == 403


async def put(objects: ObjectStore, path: str, body: bytes = b"") -> None:
    """A request as the gateway forwards it."""
    asked = AWSRequest(method="PUT", url=f"http://127.0.0.1{path}", data=body)
    credentials = Credentials(KEYS.access_key_id, KEYS.secret_access_key)
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(asked)
    headers = {"host": "127.0.0.1", "content-length": str(len(body)), **dict(asked.headers)}
    request = Request(
        method="PUT",
        path=path,
        query="",
        headers=tuple((name.lower(), value) for name, value in headers.items()),
    )

    async def content() -> AsyncIterator[bytes]:
        yield body

    answer = await objects.forward(request, content())
    assert answer.status == 200
