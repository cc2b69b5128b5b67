"""Who signed this request? AWS Signature Version 4, checked from the server's side.

A signature comes in one of two forms, the `Authorization` header or, presigned, in
the query. Either way the check has two steps, because the service named in the
credential scope decides how the rest is to be read:

    request ──read_claim──▶ Claim ──verify(body hash, secret, now)──▶ Caller or Denial

Nothing here does input or output, and nothing raises: a denial is a value, which
module `denial` puts into the words of the service that was asked.
Source: AWS General Reference, "Signature Version 4 signing process"; for the ways of
S3, "Authenticating Requests (AWS Signature Version 4)" in its API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from portside.local.protocol.message import Request

ALGORITHM: Final = "AWS4-HMAC-SHA256"
MAX_SKEW: Final = timedelta(minutes=15)
"""How far a client's clock may be off. S3 API Reference, RequestTimeTooSkewed."""
MAX_EXPIRES_S: Final = 604_800
"""Seven days, the longest life of a presigned request. S3 API Reference, X-Amz-Expires."""

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_UNSUPPORTED: Final = (
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
)
_SCOPE: Final = re.compile(
    r"(?P<key>[^/]+)/(?P<date>[0-9]{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)


class Reason(StrEnum):
    """Why a request was denied."""

    MISSING = "missing"
    """There is no signature at all."""
    INCOMPLETE = "incomplete"
    """There is one, but parts of it are missing or make no sense."""
    UNKNOWN_KEY = "unknown key"
    MISMATCH = "mismatch"
    UNSIGNED_HEADER = "unsigned header"
    """S3 wants every x-amz- header that was sent to be signed."""
    EARLY = "early"
    LATE = "late"
    EXPIRED = "expired"
    """A presigned request that has had its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """Why, and for those that need it, the particulars in AWS's words."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says about its own signature; nothing of it is proved yet."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    expires_s: int | None
    """Seconds that a presigned request lives; None in the header form."""
    has_token: bool

    @property
    def scope(self) -> str:
        """The credential scope, as it goes into the string to sign."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"

    @property
    def presigned(self) -> bool:
        """Whether the signature came in the query."""
        return self.expires_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A proved identity."""

    access_key_id: str


def read_claim(request: Request) -> Claim | Denial:
    """Find the signature of a request, in either form."""
    authorization = request.header("authorization")
    if authorization is not None:
        return _claim_of_header(request, authorization)
    query = dict(_pairs(request.query))
    if "X-Amz-Algorithm" in query or "X-Amz-Signature" in query:
        return _claim_of_query(query)
    if "AWSAccessKeyId" in query:  # version 2, boto3's choice for a presigned URL of us-east-1
        return _incomplete(_UNSUPPORTED)
    return Denial(reason=Reason.MISSING)


def declared_hash(request: Request, claim: Claim) -> str | None:
    """The body hash that S3 goes by: the client's word, which the object store checks again.

    A hash, `UNSIGNED-PAYLOAD`, or one of the `STREAMING-` forms whose chunks carry
    checks of their own; None where the header form left it out, which S3 refuses.
    """
    declared = request.header("x-amz-content-sha256")
    return UNSIGNED_PAYLOAD if declared is None and claim.presigned else declared


def verify(
    request: Request,
    claim: Claim,
    *,
    body_hash: str,
    secret_of: Callable[[str], str | None],
    now: datetime,
) -> Caller | Denial:
    """Prove a claim: a key that is known, a time that is near, a signature that fits."""
    secret = secret_of(claim.access_key_id)
    if secret is None or claim.has_token:  # our keys are long-lived: they come without a token
        return Denial(reason=Reason.UNKNOWN_KEY)
    denial = _check_time(claim, now)
    if denial is not None:
        return denial
    if claim.service == "s3" and not _amz_headers_signed(request, claim):
        return Denial(reason=Reason.UNSIGNED_HEADER)
    expected = _signature(secret, claim, canonical_request(request, claim, body_hash))
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        return Denial(reason=Reason.MISMATCH)
    return Caller(access_key_id=claim.access_key_id)


def canonical_request(request: Request, claim: Claim, body_hash: str) -> str:
    """The text whose digest was signed."""
    headers = [f"{name}:{_canonical_value(request, name)}\n" for name in claim.signed_headers]
    return "\n".join(
        [
            request.method,
            _canonical_path(request.path, s3=claim.service == "s3"),
            _canonical_query(request.query),
            "".join(headers),
            ";".join(claim.signed_headers),
            body_hash,
        ]
    )


# --- Reading the two forms ---------------------------------------------------


def _claim_of_header(request: Request, authorization: str) -> Claim | Denial:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        return _incomplete(_UNSUPPORTED)
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if name not in fields]
    if missing:
        return _incomplete(
            " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        )
    return _claim(
        credential=fields["Credential"],
        signed_headers=fields["SignedHeaders"],
        signature=fields["Signature"],
        timestamp=request.header("x-amz-date") or _timestamp_of_date(request.header("date")),
        expires_s=None,
        has_token=bool(request.header("x-amz-security-token")),
    )


def _claim_of_query(query: dict[str, str]) -> Claim | Denial:
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        return _incomplete(_UNSUPPORTED)
    # STS and others sign queries without a time to live; then the clock's leeway is all there is.
    expires = query.get("X-Amz-Expires", str(int(MAX_SKEW.total_seconds())))
    if not re.fullmatch(r"[0-9]{1,6}", expires) or int(expires) > MAX_EXPIRES_S:
        return _incomplete("X-Amz-Expires must be a number of seconds of a week at most.")
    return _claim(
        credential=query.get("X-Amz-Credential", ""),
        signed_headers=query.get("X-Amz-SignedHeaders", ""),
        signature=query.get("X-Amz-Signature", ""),
        timestamp=query.get("X-Amz-Date", ""),
        expires_s=int(expires),
        has_token=bool(query.get("X-Amz-Security-Token")),
    )


def _claim(
    *,
    credential: str,
    signed_headers: str,
    signature: str,
    timestamp: str,
    expires_s: int | None,
    has_token: bool,
) -> Claim | Denial:
    scope = _SCOPE.fullmatch(credential)
    if scope is None:
        return _incomplete(
            "Credential must have exactly 5 slash-delimited elements, "
            f"e.g. keyid/date/region/service/term, got '{credential}'."
        )
    if _parse_time(timestamp) is None or not timestamp.startswith(scope["date"]):
        return _incomplete(
            "The request requires an 'X-Amz-Date' of the form YYYYMMDD'T'HHMMSS'Z' "
            "on the date of the credential scope."
        )
    names = tuple(signed_headers.split(";"))
    if "host" not in names or names != tuple(sorted({name.lower() for name in names})):
        return _incomplete("SignedHeaders must name 'host', in lower case and sorted.")
    return Claim(
        access_key_id=scope["key"],
        date=scope["date"],
        region=scope["region"],
        service=scope["service"],
        signed_headers=names,
        signature=signature,
        timestamp=timestamp,
        expires_s=expires_s,
        has_token=has_token,
    )


def _timestamp_of_date(date: str | None) -> str:
    """A client that sets `Date` signs the same moment in the form of `X-Amz-Date`."""
    try:
        return parsedate_to_datetime(date or "").astimezone(UTC).strftime(TIME_FORMAT)
    except ValueError:
        return ""


def _incomplete(detail: str) -> Denial:
    return Denial(reason=Reason.INCOMPLETE, detail=detail)


# --- Proving the claim -------------------------------------------------------


def _check_time(claim: Claim, now: datetime) -> Denial | None:
    signed_at = _parse_time(claim.timestamp)
    if signed_at is None:
        return Denial(reason=Reason.INCOMPLETE)
    if signed_at > now + MAX_SKEW:
        detail = (
            f"Signature not yet current: {claim.timestamp} is still later than "
            f"{(now + MAX_SKEW).strftime(TIME_FORMAT)} ({now.strftime(TIME_FORMAT)} + 15 min.)"
        )
        return Denial(reason=Reason.EARLY, detail=detail)
    if claim.expires_s is not None:
        if now > signed_at + timedelta(seconds=claim.expires_s):
            return Denial(reason=Reason.EXPIRED)
        return None
    if signed_at < now - MAX_SKEW:
        detail = (
            f"Signature expired: {claim.timestamp} is now earlier than "
            f"{(now - MAX_SKEW).strftime(TIME_FORMAT)} ({now.strftime(TIME_FORMAT)} - 15 min.)"
        )
        return Denial(reason=Reason.LATE, detail=detail)
    return None


def _parse_time(timestamp: str) -> datetime | None:
    try:
        return datetime.strptime(timestamp, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _amz_headers_signed(request: Request, claim: Claim) -> bool:
    sent = {name for name, _ in request.headers if name.startswith("x-amz-")}
    return sent <= set(claim.signed_headers)


def _signature(secret: str, claim: Claim, canonical: str) -> str:
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request", to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


# --- Canonical forms ---------------------------------------------------------


def _canonical_path(path: str, *, s3: bool) -> str:
    """S3 keys keep their slashes and dots; all other services sign a tidied path, encoded twice."""
    if s3:
        return "/".join(quote(unquote_to_bytes(part), safe="~") for part in path.split("/"))
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in {"", "."}:
            segments.append(segment)
    tidied = "/" + "/".join(segments)
    if path.endswith("/") and segments:
        tidied += "/"
    return quote(tidied, safe="/~")


def _canonical_query(query: str) -> str:
    pairs = [
        (quote(unquote_to_bytes(name), safe="~"), quote(unquote_to_bytes(value), safe="~"))
        for name, value in _raw_pairs(query)
        if name != "X-Amz-Signature"
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _canonical_value(request: Request, name: str) -> str:
    return ",".join(" ".join(value.split()) for key, value in request.headers if key == name)


def _raw_pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (p.partition("=") for p in query.split("&") if p)]


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(_decode(name), _decode(value)) for name, value in _raw_pairs(query)]


def _decode(text: str) -> str:
    return unquote_to_bytes(text).decode(errors="replace")
