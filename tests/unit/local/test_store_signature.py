"""What goes on to the store: signed with its keys alone, and otherwise as it came."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portside.local.data_folder import Keys
from portside.local.protocol.message import Request
from portside.local.s3.store_signature import Signer
from portside.local.signature import sigv4
from portside.local.signature.claim import Claim, Reason, read_claim
from portside.local.signature.sigv4 import Caller

KEYS = Keys(access_key_id="the-stores-key", secret_access_key="the store's secret")
SIGNER = Signer(keys=KEYS, region="us-east-1")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HEADERS = (("host", "127.0.0.1:4566"), ("content-type", "text/plain"), ("x-amz-meta-by", "me"))

PRESIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Date=1&X-Amz-Expires=60"
    "&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature=f"
)
VERSION_2 = "AWSAccessKeyId=a&Signature=b&Expires=1&x-amz-security-token=t"
OF_A_LINK = (
    "X-Amz-Content-Sha256",
    *(pair.partition("=")[0] for pair in f"{PRESIGNED}&{VERSION_2}".split("&")),
)

wire = st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x21, exclude_characters="?#&"))


class StoresKey:
    def secret_of(self, access_key_id: str, *, token: str | None) -> str | Reason:
        known = (access_key_id, token) == (KEYS.access_key_id, None)
        return KEYS.secret_access_key if known else Reason.UNKNOWN_KEY


def verify(request: Request, body_hash: str) -> Caller:
    claim = read_claim(request)
    assert isinstance(claim, Claim)
    verdict = sigv4.verify(request, claim, body_hash=body_hash, secrets=StoresKey(), now=NOW)
    assert isinstance(verdict, Caller)
    return verdict


@given(path=wire.map(lambda text: f"/{text}"), query=wire)
def test_the_store_accepts_it_and_finds_path_and_query_as_they_were(path: str, query: str):
    assume(not query.startswith(OF_A_LINK))
    request = Request(method="PUT", path=path, query=query, headers=HEADERS)

    signed, seed = SIGNER.sign(request, body_hash="UNSIGNED-PAYLOAD", now=NOW)

    assert verify(signed, "UNSIGNED-PAYLOAD").seed == seed
    assert (signed.method, signed.path, signed.query) == ("PUT", path, query)
    assert set(HEADERS) < set(signed.headers)


@pytest.mark.parametrize("old", [PRESIGNED, VERSION_2])
def test_nothing_is_left_of_a_link(old: str):
    request = Request(method="GET", path="/b/k", query=f"versionId=1&{old}&a=b", headers=HEADERS)

    signed, _ = SIGNER.sign(request, body_hash="UNSIGNED-PAYLOAD", now=NOW)

    assert signed.query == "versionId=1&a=b"
    verify(signed, "UNSIGNED-PAYLOAD")


def test_nothing_is_left_of_the_callers_own_signature():
    old = (
        ("authorization", "AWS4-HMAC-SHA256 Credential=a"),
        ("x-amz-date", "20200101T000000Z"),
        ("x-amz-security-token", "a token"),
        ("x-amz-content-sha256", "0" * 64),
    )
    request = Request(method="GET", path="/b/k", query="", headers=(*HEADERS, *old))

    signed, _ = SIGNER.sign(request, body_hash="0" * 64, now=NOW)

    assert signed.header("x-amz-security-token") is None
    assert signed.header("x-amz-date") == "20261123T120000Z"
    assert signed.header("x-amz-content-sha256") == "0" * 64
    assert [name for name, _ in signed.headers].count("authorization") == 1
    verify(signed, "0" * 64)


def test_every_header_of_amazons_is_signed():
    request = Request(method="GET", path="/b/k", query="", headers=HEADERS)

    signed, _ = SIGNER.sign(request, body_hash="UNSIGNED-PAYLOAD", now=NOW)

    claim = read_claim(signed)
    assert isinstance(claim, Claim)
    assert claim.signed_headers == ("host", "x-amz-content-sha256", "x-amz-date", "x-amz-meta-by")
