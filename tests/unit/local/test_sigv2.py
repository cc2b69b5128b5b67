"""Links in Signature Version 2 against botocore's own signer, and every way to change one."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from portside.local.protocol.message import Request
from portside.local.signature import sigv2
from portside.local.signature.claim import Denial, Reason
from portside.local.signature.sigv4 import Caller

KEY, SECRET = "PSIDLOCALEXAMPLE1234", "a-secret-of-forty-characters-0123456789_"


class OneKey:
    def __init__(self, token: str | None) -> None:
        self._token = token

    def secret_of(self, access_key_id: str, *, token: str | None) -> str | Reason:
        if access_key_id != KEY:
            return Reason.UNKNOWN_KEY
        return SECRET if token == self._token else Reason.BAD_TOKEN


def link(
    method: str = "GET",
    target: str = "/b/a%20key",
    *,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> Request:
    asked = AWSRequest(method=method, url=f"http://127.0.0.1:4566{target}", headers=headers or {})
    HmacV1QueryAuth(Credentials(KEY, SECRET, token), expires=60).add_auth(asked)
    parts = urlsplit(asked.url)
    sent = tuple((name.lower(), value) for name, value in (headers or {}).items())
    return Request(method=method, path=parts.path, query=parts.query, headers=sent)


def verify(request: Request, *, token: str | None = None, after_s: int = 0) -> str | Reason:
    now = datetime.now(UTC) + timedelta(seconds=after_s)
    verdict = sigv2.verify(request, secrets=OneKey(token), now=now)
    return verdict.reason if isinstance(verdict, Denial) else verdict.access_key_id


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/b/k",
        "/b/a%20key",
        "/b/%C3%B1",
        "/b?versions",
        "/b/k?versionId=a%2Fb&x=1",
        "/b/k?uploadId=u&partNumber=2",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_botocore_signs_is_accepted(method: str, target: str):
    request = link(method, target)

    assert sigv2.is_link(request)
    assert verify(request) == KEY


def test_headers_are_signed():
    request = link("PUT", headers={"Content-Type": "text/plain", "x-amz-meta-by": "me"})

    assert verify(request) == KEY
    for name in ("content-type", "x-amz-meta-by"):
        others = tuple((key, "other" if key == name else v) for key, v in request.headers)
        assert verify(dataclasses.replace(request, headers=others)) is Reason.MISMATCH


def test_a_bucket_in_the_host_is_signed_as_if_it_were_in_the_path():
    request = link(target="/models/k")
    by_host = dataclasses.replace(request, path="/k", headers=(("host", "models.localhost:4566"),))

    assert verify(by_host) == KEY
    other = dataclasses.replace(by_host, headers=(("host", "others.localhost:4566"),))
    assert verify(other) is Reason.MISMATCH


def test_a_session_token_is_part_of_it():
    request = link(token="a token")

    assert verify(request, token="a token") == KEY
    assert verify(request, token="another") is Reason.BAD_TOKEN


@pytest.mark.parametrize("change", [{"method": "PUT"}, {"path": "/b/other"}])
def test_a_changed_request_is_refused(change: dict[str, str]):
    assert verify(dataclasses.replace(link(), **change)) is Reason.MISMATCH


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("AWSAccessKeyId=P", "AWSAccessKeyId=Q", Reason.UNKNOWN_KEY),
        ("Signature=", "Signature=A", Reason.MISMATCH),
        ("Expires=", "Expires=9", Reason.MISMATCH),
        ("Expires=", "Expires=" + "9" * 5000, Reason.BAD_QUERY),
        ("Expires=", "Expires=x", Reason.BAD_QUERY),
        ("Signature=", "Sign=", Reason.BAD_QUERY),
        ("versionId=1", "versionId=2", Reason.MISMATCH),
    ],
)
def test_a_changed_query_is_refused(before: str, after: str, reason: Reason):
    request = link(target="/b/k?versionId=1")
    assert before in request.query
    changed = dataclasses.replace(request, query=request.query.replace(before, after))

    assert verify(changed) is reason


def test_it_ends_when_it_says():
    assert verify(link(), after_s=50) == KEY
    assert verify(link(), after_s=70) is Reason.EXPIRED


def test_no_chunk_goes_on_from_it():
    verdict = sigv2.verify(link(), secrets=OneKey(None), now=datetime.now(UTC))

    assert isinstance(verdict, Caller)
    assert verdict.seed is None
