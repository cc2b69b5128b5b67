"""The verifier against the SigV4 test suite, which botocore's source distribution carries.

Each vector is a request (`.req`), what is signed of it (`.creq`), and the header that AWS
would sign it with (`.authz`). Four of them repeat a name in the query or have a space in
the request line; botocore leaves them out, the verifier does not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from portside.local.protocol.message import Request
from portside.local.signature import sigv4
from portside.local.signature.canonical import canonical_request
from portside.local.signature.claim import Claim, Denial, Reason, read_claim
from portside.local.signature.sigv4 import Caller

ROOT = Path(__file__).parents[2]

# As the suite's own runner has them: tests/unit/auth/test_sigv4.py of botocore.
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SIGNED_AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Vector:
    name: str
    request: Request
    body: bytes
    canonical: bytes


@pytest.fixture(scope="session")
def vectors() -> list[Vector]:
    found = [read(file) for file in sorted(suite().rglob("*.authz"))]
    assert len(found) > 30
    return found


def suite() -> Path:
    """The suite's folder, fetched once per checkout, of the version that is pinned."""
    pinned = re.search(r"^botocore==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    folder = ROOT / ".portside" / "sdist" / f"botocore-{pinned[1]}"
    archive = folder.with_suffix(f"{folder.suffix}.tar.gz")
    if not archive.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += [
            "--no-binary",
            "botocore",
            "--dest",
            str(folder.parent),
            f"botocore=={pinned[1]}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"the source of botocore cannot be fetched: {done.stderr.strip()[-300:]}")
    inside = Path("tests", "unit", "auth", "aws4_testsuite")
    if not (folder / inside).exists():
        with tarfile.open(archive) as tar:
            wanted = [one for one in tar if Path(folder.name, inside) in Path(one.name).parents]
            tar.extractall(folder.parent, members=wanted, filter="data")
    return folder / inside


def read(authorization: Path) -> Vector:
    head, _, body = authorization.with_suffix(".sreq").read_bytes().partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    method, _, target = first.removesuffix(" HTTP/1.1").partition(" ")
    path, _, query = target.partition("?")
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith(" "):  # goes on; RFC 9112, section 5.2
            headers[-1] = headers[-1][0], headers[-1][1] + line
        else:
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
    # One `.sreq` has a signature that was tampered with; `.authz` is what botocore goes by.
    headers = [pair for pair in headers if pair[0] != "authorization"]
    headers.append(("authorization", authorization.read_text()))
    return Vector(
        name=authorization.stem,
        request=Request(method=method, path=path, query=query, headers=tuple(headers)),
        body=body,
        canonical=authorization.with_suffix(".creq").read_bytes(),
    )


@dataclass(frozen=True)
class OneKey:
    token: str | None

    def secret_of(self, access_key_id: str, *, token: str | None) -> str | Reason:
        return SECRET if (access_key_id, token) == (KEY, self.token) else Reason.UNKNOWN_KEY


def is_accepted(
    request: Request, body: bytes, *, token: str | None, now: datetime = SIGNED_AT
) -> bool:
    claim = read_claim(request)
    if isinstance(claim, Denial):
        return False
    body_hash = hashlib.sha256(body).hexdigest()
    verdict = sigv4.verify(request, claim, body_hash=body_hash, secrets=OneKey(token), now=now)
    return isinstance(verdict, Caller)


def token_of(vector: Vector) -> str | None:
    return vector.request.header("x-amz-security-token")


def tampered(vector: Vector) -> Iterator[tuple[str, Request, bytes]]:
    """The vector's request with one bit of it flipped, or with more than was signed."""
    request, body = vector.request, vector.body
    for path in (*flipped(request.path), request.path + "a"):
        if posixpath.normpath(path) != posixpath.normpath(request.path):  # `..` makes some alike
            yield "path", dataclasses.replace(request, path=path), body
    for query in (*flipped(request.query), request.query + "&a=b"):
        yield "query", dataclasses.replace(request, query=query), body
    for text in (*flipped(body.decode()), body.decode() + "a"):
        yield "body", request, text.encode()
    for at, (name, value) in enumerate(request.headers):
        for other in flipped(value):
            headers = (*request.headers[:at], (name, other), *request.headers[at + 1 :])
            yield name, dataclasses.replace(request, headers=headers), body


def flipped(text: str) -> Iterator[str]:
    """The lowest bit of each letter and digit in turn; other characters may mean the same."""
    for at, character in enumerate(text):
        if character.isalnum() and character.isascii():
            yield text[:at] + chr(ord(character) ^ 1) + text[at + 1 :]


def test_what_is_signed_is_what_the_suite_says(vectors: list[Vector]) -> None:
    for vector in vectors:
        claim = read_claim(vector.request)
        assert isinstance(claim, Claim), vector.name
        body_hash = hashlib.sha256(vector.body).hexdigest()
        canonical = canonical_request(
            vector.request, claim.signed_headers, body_hash=body_hash, s3=False
        )

        assert canonical == vector.canonical, vector.name


def test_each_vector_is_accepted_with_its_own_token_alone(vectors: list[Vector]) -> None:
    for vector in vectors:
        token = token_of(vector)

        assert is_accepted(vector.request, vector.body, token=token), vector.name
        assert not is_accepted(vector.request, vector.body, token="another"), vector.name


def test_a_flipped_bit_anywhere_is_refused(vectors: list[Vector]) -> None:
    tried: set[str] = set()
    for vector in vectors:
        for part, request, body in tampered(vector):
            tried.add(part)
            assert not is_accepted(request, body, token=token_of(vector)), (vector.name, request)

    assert {"path", "query", "body", "host", "x-amz-date", "authorization"} <= tried


def test_each_vector_presigned(vectors: list[Vector]) -> None:
    """The suite has no presigned form, so botocore makes it, of what it can sign at all."""
    for vector in vectors:
        names = [pair.partition("=")[0] for pair in vector.request.query.split("&")]
        if len(names) == len(set(names)):  # botocore keeps one of each name
            request, now = presign(vector), datetime.now(UTC)
            signed = dataclasses.replace(vector, request=request, body=b"")
            assert is_accepted(request, b"", token=None, now=now), vector.name
            for _, other, body in tampered(signed):
                assert not is_accepted(other, body, token=None, now=now), (vector.name, other)


def presign(vector: Vector) -> Request:
    host = vector.request.header("host") or ""
    path = quote(vector.request.path.encode("latin-1"))
    query = quote(vector.request.query.encode("latin-1"), safe="=&%+-._~")
    asked = AWSRequest(method=vector.request.method, url=f"http://{host}{path}?{query}")
    SigV4QueryAuth(Credentials(KEY, SECRET), "service", "us-east-1").add_auth(asked)
    parts = urlsplit(asked.url)
    return Request(
        method=vector.request.method,
        path=parts.path,
        query=parts.query,
        headers=(("host", host),),
    )
