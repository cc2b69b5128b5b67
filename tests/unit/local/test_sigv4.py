"""The verifier against botocore's own signers: what they sign passes, what is changed does not."""

from __future__ import annotations

import dataclasses
import hashlib
import string
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from portside.local.protocol.message import Request
from portside.local.signature import sigv4
from portside.local.signature.claim import LONG_LEEWAY, Denial, Reason, read_claim
from portside.local.signature.sigv4 import Caller

KEY, SECRET = "PSIDLOCALEXAMPLE1234", "a-secret-of-forty-characters-0123456789_"
HOST = "127.0.0.1:4566"

segments = st.text(max_size=8).map(lambda text: quote(text, safe="~"))
paths = st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(parts))
words = st.text(max_size=8).map(lambda text: quote(text, safe="~"))
queries = st.lists(st.tuples(words, words), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
header_names = st.text(string.ascii_letters, min_size=1, max_size=8).map(lambda name: f"X-T-{name}")
header_values = st.text(string.ascii_letters + string.digits + "  ;,=", max_size=12)
headers_sent = st.dictionaries(header_names, header_values, max_size=3)
bodies = st.binary(max_size=64)


class OneKey:
    """Knows one key, which goes with one token or with none."""

    def __init__(self, token: str | None = None) -> None:
        self._token = token

    def secret_of(self, access_key_id: str, *, token: str | None) -> str | Reason:
        if access_key_id != KEY:
            return Reason.UNKNOWN_KEY
        return SECRET if token == self._token else Reason.BAD_TOKEN


def sign(
    signer: type[SigV4Auth],
    service: str,
    *,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    secret: str = SECRET,
    token: str | None = None,
) -> Request:
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    asked = AWSRequest(method=method, url=url, headers=headers or {}, data=body)
    signer(Credentials(KEY, secret, token), service, "us-east-1").add_auth(asked)
    parts = urlsplit(asked.url)
    sent = [(name.lower(), value) for name, value in asked.headers.items()]
    return Request(
        method=method,
        path=parts.path,
        query=parts.query,
        headers=(("host", HOST), *sent, ("user-agent", "test")),
    )


def verify(
    request: Request,
    body: bytes = b"",
    *,
    now: datetime | None = None,
    token: str | None = None,
    leeway: timedelta = LONG_LEEWAY,
) -> str | Denial:
    """The key of who was let in, or why nobody was."""
    claim = read_claim(request)
    if isinstance(claim, Denial):
        return claim
    body_hash = hashlib.sha256(body).hexdigest()
    if claim.service == "s3":
        body_hash = sigv4.declared_hash(request, claim) or body_hash
    verdict = sigv4.verify(
        request,
        claim,
        body_hash=body_hash,
        secrets=OneKey(token),
        now=now or datetime.now(UTC),
        leeway=leeway,
    )
    return verdict.access_key_id if isinstance(verdict, Caller) else verdict


def replace_header(request: Request, name: str, value: str) -> Request:
    headers = tuple((key, value if key == name else old) for key, old in request.headers)
    return dataclasses.replace(request, headers=headers)


@given(path=paths, query=queries, headers=headers_sent, body=bodies)
def test_what_sigv4auth_signs_is_accepted(
    path: str, query: str, headers: dict[str, str], body: bytes
):
    request = sign(SigV4Auth, "sagemaker", path=path, query=query, headers=headers, body=body)

    assert verify(request, body) == KEY


@given(path=paths, query=queries, headers=headers_sent, body=bodies)
def test_what_s3sigv4auth_signs_is_accepted(
    path: str, query: str, headers: dict[str, str], body: bytes
):
    request = sign(S3SigV4Auth, "s3", path=path, query=query, headers=headers, body=body)

    assert verify(request, body) == KEY


@given(path=paths)
def test_what_sigv4queryauth_signs_is_accepted(path: str):
    request = sign(SigV4QueryAuth, "sts", method="GET", path=path, query="Action=X&Version=1")

    assert verify(request) == KEY


@given(path=paths)
def test_what_s3sigv4queryauth_signs_is_accepted(path: str):
    request = sign(S3SigV4QueryAuth, "s3", method="GET", path=path, query="versionId=a%20b")

    assert verify(request) == KEY


@pytest.mark.parametrize("path", ["/b//a/../c", "/b/a%20b", "/b/a%2Bb", "/b/a%2Fb"])
def test_s3_signs_a_path_as_it_is(path: str):
    request = sign(S3SigV4Auth, "s3", path=path)

    assert verify(request) == KEY


def test_other_services_sign_a_tidied_path():
    request = sign(SigV4Auth, "sagemaker", path="/endpoints/./ner//invocations")

    assert verify(request) == KEY


def test_a_client_may_date_with_the_date_header():
    request = sign(SigV4Auth, "sagemaker", headers={"Date": "now"})

    assert request.header("x-amz-date") is None
    assert verify(request) == KEY


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/b/other"},
        {"query": "versionId=2"},
        {"query": ""},
    ],
)
@pytest.mark.parametrize(("signer", "service"), [(SigV4Auth, "logs"), (S3SigV4Auth, "s3")])
def test_a_changed_head_is_denied(signer: type[SigV4Auth], service: str, change: dict[str, str]):
    request = sign(signer, service, path="/b/k", query="versionId=1")

    tampered = dataclasses.replace(request, **change)

    assert verify(tampered) == Denial(reason=Reason.MISMATCH)


@pytest.mark.parametrize("name", ["host", "x-t-a"])
def test_a_changed_header_is_denied(name: str):
    request = sign(SigV4Auth, "logs", headers={"X-T-A": "1"})

    assert verify(replace_header(request, name, "2")) == Denial(reason=Reason.MISMATCH)


def test_a_changed_body_is_denied():
    request = sign(SigV4Auth, "logs", body=b"{}")

    assert verify(request, b"{ }") == Denial(reason=Reason.MISMATCH)


def test_a_changed_declared_hash_is_denied_by_s3():
    request = sign(S3SigV4Auth, "s3", body=b"a")

    tampered = replace_header(request, "x-amz-content-sha256", sigv4.UNSIGNED_PAYLOAD)

    assert verify(tampered) == Denial(reason=Reason.MISMATCH)


@given(at=st.integers(0, 63), digit=st.sampled_from("0123456789abcdef"))
def test_a_changed_signature_is_denied(at: int, digit: str):
    request = sign(SigV4Auth, "logs")
    head, _, signature = request.header("authorization").rpartition("=")
    forged = signature[:at] + digit + signature[at + 1 :]

    verdict = verify(replace_header(request, "authorization", f"{head}={forged}"))

    assert (verdict == KEY) == (forged == signature)


def test_a_wrong_secret_is_denied():
    request = sign(SigV4Auth, "logs", secret="guess")

    assert verify(request) == Denial(reason=Reason.MISMATCH)


def test_an_unknown_key_is_denied():
    request = sign(SigV4Auth, "logs")
    authorization = request.header("authorization").replace(KEY, "AKIAOTHER")

    verdict = verify(replace_header(request, "authorization", authorization))

    assert verdict == Denial(reason=Reason.UNKNOWN_KEY)


@pytest.mark.parametrize("signer", [SigV4Auth, SigV4QueryAuth])
@pytest.mark.parametrize(
    ("sent", "known", "verdict"),
    [
        ("a token", "a token", KEY),
        ("a token", "another", Denial(reason=Reason.BAD_TOKEN)),
        ("left over in the environment", None, Denial(reason=Reason.BAD_TOKEN)),
        (None, "a token", Denial(reason=Reason.BAD_TOKEN)),
    ],
)
def test_a_key_goes_with_its_session_token(
    signer: type[SigV4Auth], sent: str | None, known: str | None, verdict: str | Denial
):
    request = sign(signer, "sts", token=sent)

    assert verify(request, token=known) == verdict


def test_s3_wants_every_amz_header_signed():
    request = sign(S3SigV4Auth, "s3")
    smuggled = dataclasses.replace(request, headers=(*request.headers, ("x-amz-acl", "public")))

    assert verify(smuggled) == Denial(reason=Reason.UNSIGNED_HEADER)


@pytest.mark.parametrize(
    ("minutes", "reason"), [(14, None), (16, Reason.LATE), (-14, None), (-16, Reason.EARLY)]
)
def test_a_clock_may_be_off_by_a_quarter_of_an_hour(minutes: int, reason: Reason | None):
    request = sign(SigV4Auth, "logs")

    verdict = verify(request, now=datetime.now(UTC) + timedelta(minutes=minutes))

    assert (verdict.reason if isinstance(verdict, Denial) else None) == reason


@pytest.mark.parametrize(
    ("minutes", "said"), [(4, None), (6, "- 5 min.)"), (-4, None), (-6, "+ 5 min.)")]
)
def test_or_by_five_minutes_where_a_service_wants_it_so(minutes: int, said: str | None):
    request = sign(SigV4Auth, "logs")
    now = datetime.now(UTC) + timedelta(minutes=minutes)

    verdict = verify(request, now=now, leeway=timedelta(minutes=5))

    if said is None:
        assert verdict == KEY
    else:
        assert isinstance(verdict, Denial)
        assert verdict.detail.endswith(said)


@pytest.mark.parametrize(("seconds", "reason"), [(3590, None), (3610, Reason.EXPIRED)])
def test_a_presigned_request_lives_as_long_as_it_says(seconds: int, reason: Reason | None):
    request = sign(S3SigV4QueryAuth, "s3", method="GET", path="/b/k")  # an hour, botocore's default

    verdict = verify(request, now=datetime.now(UTC) + timedelta(seconds=seconds))

    assert (verdict.reason if isinstance(verdict, Denial) else None) == reason


def test_no_signature_at_all():
    request = Request(method="GET", path="/", query="a=b", headers=(("host", HOST),))

    assert read_claim(request) == Denial(reason=Reason.MISSING)


SCOPE = f"{KEY}/20261101/us-east-1/logs/aws4_request"


@pytest.mark.parametrize(
    ("authorization", "part"),
    [
        ("Bearer abc", "Please use AWS4-HMAC-SHA256"),
        ("AWS key:signature", "Please use AWS4-HMAC-SHA256"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}", "'Signature'"),
        ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=a", "'Credential'"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=a", "slash-delimited"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=x-a, Signature=a", "host"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=x;host, Signature=a", "sorted"),
    ],
)
def test_an_incomplete_header_is_named(authorization: str, part: str):
    headers = (
        ("host", HOST),
        ("authorization", authorization),
        ("x-amz-date", "20261101T000000Z"),
    )

    denial = read_claim(Request(method="POST", path="/", query="", headers=headers))

    assert isinstance(denial, Denial)
    assert denial.reason is Reason.INCOMPLETE
    assert part in denial.detail


@pytest.mark.parametrize("date", ["", "yesterday", "20261102T000000Z", "20261101T990000Z"])
def test_the_date_has_to_be_one_and_on_the_day_of_the_scope(date: str):
    authorization = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=a"
    headers = (("host", HOST), ("authorization", authorization), ("x-amz-date", date))

    denial = read_claim(Request(method="POST", path="/", query="", headers=headers))

    assert isinstance(denial, Denial)
    assert denial.reason is Reason.INCOMPLETE


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        ("604801", "must be less than a week"),
        ("9" * 5000, "must be less than a week"),
        ("0" * 5000, "must be less than a week"),
        ("-1", "must be non-negative"),
        ("soon", "should be a number"),
        ("", "should be a number"),
    ],
)
def test_a_presigned_request_lives_a_week_at_most(expires: str, said: str):
    query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires={expires}"

    denial = read_claim(Request(method="GET", path="/b/k", query=query, headers=()))

    assert isinstance(denial, Denial)
    assert denial.reason is Reason.BAD_QUERY
    assert f"X-Amz-Expires {said}" in denial.detail


@given(authorization=st.text(), query=st.text(st.characters(max_codepoint=127)), date=st.text())
def test_whatever_comes_in_nothing_is_raised_and_nobody_gets_through(
    authorization: str, query: str, date: str
):
    headers = (("authorization", authorization), ("x-amz-date", date), ("host", HOST))
    for sent in (headers, headers[2:]):
        assert isinstance(
            verify(Request(method="GET", path="/", query=query, headers=sent)), Denial
        )
