"""A local SageMaker for others than this machine, whose objects another store keeps.

    client ──▶ front: keys of the user's own, open to other machines ──--s3──▶ store

The store is a second local SageMaker, which checks each signature as AWS would.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from portside.local.data_folder import read_keys
from tests.integration.local_edge import Local, end, start

OWN_ID, OWN_SECRET = "MYOWNKEY12345678", "0123456789abcdef0123456789abcdef"
OWN = {"PORTSIDE_ACCESS_KEY_ID": OWN_ID, "PORTSIDE_SECRET_ACCESS_KEY": OWN_SECRET}
EVERYWHERE = "0.0.0.0"  # noqa: S104  as a user would, who wants just that
KIB = 1024


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    store = start(tmp_path_factory.mktemp("store"))
    store.client("s3").create_bucket(Bucket="models")
    yield store
    end(store)


@pytest.fixture(scope="module")
def front(store: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder, options = tmp_path_factory.mktemp("front"), ("--host", EVERYWHERE, "--allow-remote")
    front = start(folder, *options, "--s3", store.url, **OWN, **keys_of(store))
    yield front
    end(front)


def keys_of(store: Local) -> dict[str, str]:
    keys = read_keys(store.folder)
    return {
        "PORTSIDE_S3_ACCESS_KEY_ID": keys.access_key_id,
        "PORTSIDE_S3_SECRET_ACCESS_KEY": keys.secret_access_key,
    }


def services(local: Local) -> Any:
    with urllib.request.urlopen(f"{local.url}/_portside/health") as answer:
        return json.load(answer)["services"]


# --- The store ---------------------------------------------------------------


def test_objects_are_the_stores(front: Local, store: Local) -> None:
    front.client("s3").put_object(Bucket="models", Key="a key/ñ", Body=b"1", Metadata={"by": "me"})

    answer = store.client("s3").get_object(Bucket="models", Key="a key/ñ")

    assert (answer["Body"].read(), answer["Metadata"]) == (b"1", {"by": "me"})
    assert front.client("s3").get_object(Bucket="models", Key="a key/ñ")["Body"].read() == b"1"


def test_no_store_is_started_and_who_asks_is_told(front: Local, store: Local) -> None:
    assert services(front)["s3"] == f"passed on to {store.url}"
    assert psutil.Process(front.process.pid).children() == []


def test_a_bucket_may_be_part_of_the_host(front: Local) -> None:
    front.client("s3").put_object(Bucket="models", Key="by host", Body=b"1")
    port = front.url.rpartition(":")[2]
    settings = Config(s3={"addressing_style": "virtual"}, signature_version="s3v4")
    by_host = front.client("s3", endpoint_url=f"http://localhost:{port}", config=settings)
    where = {"Bucket": "models", "Key": "by host"}
    link = by_host.generate_presigned_url("get_object", where)
    assert f"//models.localhost:{port}/by%20host" in link

    # Not every machine finds the address of such a name.
    request = urllib.request.Request(link.replace("//models.localhost", "//127.0.0.1"))
    request.add_header("Host", f"models.localhost:{port}")
    with urllib.request.urlopen(request) as answer:
        assert answer.read() == b"1"


def test_links_and_sessions_are_signed_anew(front: Local) -> None:
    s3 = front.client("s3", config=Config(signature_version="s3v4"))
    s3.put_object(Bucket="models", Key="linked", Body=b"1")
    given = front.client("sts").get_session_token()["Credentials"]
    session = front.client(
        "s3",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )

    link = s3.generate_presigned_url("get_object", {"Bucket": "models", "Key": "linked"})

    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"1"
    assert session.get_object(Bucket="models", Key="linked")["Body"].read() == b"1"


def test_its_own_refusals_come_back(front: Local) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        front.client("s3").put_object(Bucket="missing-bucket", Key="k", Body=b"")


def test_a_store_that_is_gone_is_named(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        keys = {"PORTSIDE_S3_ACCESS_KEY_ID": "minio", "PORTSIDE_S3_SECRET_ACCESS_KEY": "minio123"}
        front = start(tmp_path, "--s3", url, **keys)
        try:
            with pytest.raises(ClientError, match=f"The object store at {url} does not answer"):
                front.client("s3", config=Config(retries={"total_max_attempts": 1})).list_buckets()
            assert front.client("sagemaker").list_endpoints()["Endpoints"] == []
        finally:
            end(front)


# --- Chunks that are signed one by one ---------------------------------------


@dataclass(frozen=True)
class Upload:
    """An upload as SDKs of other languages make it over plain HTTP."""

    chunks: tuple[bytes, ...]
    trailer: bytes = b""
    tampered_with: tuple[bytes, bytes] = (b"", b"")

    def send(self, local: Local, key: str) -> int:
        """The status."""
        declared = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if self.trailer else "")
        length = str(sum(map(len, self.chunks)))
        headers = {"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": length}
        if self.trailer:
            headers["X-Amz-Trailer"] = self.trailer.partition(b":")[0].decode()
        keys, url = read_keys(local.folder), f"{local.url}/models/{key}"
        asked = AWSRequest(method="PUT", url=url, headers=headers)
        signer = S3SigV4Auth(
            Credentials(keys.access_key_id, keys.secret_access_key), "s3", "us-east-1"
        )
        signer.payload = lambda _: declared
        signer.add_auth(asked)
        sent = dict(asked.headers)
        body = self._body(sent["Authorization"], sent["X-Amz-Date"], keys.secret_access_key)
        request = urllib.request.Request(url, data=body, method="PUT", headers=sent)
        request.add_header("Content-Type", "")
        try:
            with urllib.request.urlopen(request) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def _body(self, authorization: str, timestamp: str, secret: str) -> bytes:
        scope = f"{timestamp[:8]}/us-east-1/s3/aws4_request"
        signing_key = f"AWS4{secret}".encode()
        for part in scope.split("/"):
            signing_key = hmac.digest(signing_key, part.encode(), "sha256")
        last, body = authorization.rpartition("=")[2], b""

        def sign(kind: str, *digests: str) -> bytes:
            nonlocal last
            lines = [f"AWS4-HMAC-SHA256-{kind}", timestamp, scope, last, *digests]
            last = hmac.digest(signing_key, "\n".join(lines).encode(), "sha256").hex()
            return last.encode()

        for chunk in (*self.chunks, b""):
            signature = sign("PAYLOAD", sha256(b""), sha256(chunk))
            body += b"%x;chunk-signature=%b\r\n%b" % (len(chunk), signature, chunk)
            body += b"\r\n" if chunk else b""
        if self.trailer:
            signature = sign("TRAILER", sha256(self.trailer + b"\n"))
            body += self.trailer + b"\r\nx-amz-trailer-signature:" + signature + b"\r\n"
        return (body + b"\r\n").replace(*self.tampered_with)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


CHUNKS = (b"a" * 64 * KIB, b"b" * 64 * KIB, b"c" * 100)
CRC32 = b"x-amz-checksum-crc32:J3ehvg=="
"""Of these chunks, in base64."""


@pytest.mark.parametrize("trailer", [b"", CRC32], ids=["plain", "trailer"])
def test_signed_chunks_arrive(front: Local, store: Local, trailer: bytes) -> None:
    for local in (store, front):
        assert Upload(CHUNKS, trailer).send(local, "chunks") == 200

        stored = local.client("s3").get_object(Bucket="models", Key="chunks")
        assert stored["Body"].read() == b"".join(CHUNKS)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"a" * 64 * KIB, b"a" * (64 * KIB - 1) + b"b"), (b"c" * 100, b"d" * 100)],
    ids=["first", "last"],
)
def test_a_chunk_that_was_tampered_with_is_refused_and_nothing_stored(
    store: Local, before: bytes, after: bytes
) -> None:
    key = hashlib.sha256(after).hexdigest()

    assert Upload(CHUNKS, b"", (before, after)).send(store, key) == 403

    with pytest.raises(ClientError, match="NoSuchKey"):
        store.client("s3").get_object(Bucket="models", Key=key)


def test_a_trailer_that_was_tampered_with_is_refused(store: Local) -> None:
    assert Upload(CHUNKS, CRC32, (b"crc32:J", b"crc32:K")).send(store, "trailer") == 403


# --- Other machines ----------------------------------------------------------


@pytest.fixture(scope="module")
def outer_address() -> str:
    """An address of this machine that is not its own alone."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family is socket.AF_INET and not one.address.startswith("127."):
                return one.address
    pytest.skip("this machine has no network")


def test_who_was_allowed_reaches_it_with_the_users_own_keys(
    front: Local, outer_address: str
) -> None:
    url = f"http://{outer_address}:{front.url.rpartition(':')[2]}"
    mine = {"aws_access_key_id": OWN_ID, "aws_secret_access_key": OWN_SECRET}

    endpoints = front.client("sagemaker", endpoint_url=url, **mine).list_endpoints()

    assert endpoints["Endpoints"] == []
    with urllib.request.urlopen(f"{url}/_portside/health") as answer:
        assert answer.status == 200
    wrong = {**mine, "aws_secret_access_key": "wrong" * 8}
    stranger = front.client("sagemaker", endpoint_url=url, **wrong)
    with pytest.raises(ClientError, match="does not match the signature you provided"):
        stranger.list_endpoints()


def test_what_nobody_allowed_is_for_this_machine_alone(store: Local, outer_address: str) -> None:
    port = int(store.url.rpartition(":")[2])

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((outer_address, port), timeout=5)


def test_keys_of_ones_own_stay_where_they_were_chosen(tmp_path: Path) -> None:
    first = start(tmp_path, **OWN)
    end(first)
    second = start(tmp_path)
    try:
        assert read_keys(second.folder).access_key_id == OWN_ID
        assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    finally:
        end(second)
