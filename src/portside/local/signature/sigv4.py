"""Who signed this request? AWS Signature Version 4, checked from the server's side.

A signature comes in one of two forms, the `Authorization` header or, presigned, in
the query. Either way the check has two steps, because the service named in the
credential scope decides how the rest is to be read:

    request ──read_claim──▶ Claim ──verify(body hash, secrets, now)──▶ Caller or Denial

Nothing here does input or output, and nothing raises: a denial is a value, which
module `denial` puts into the words of the service that was asked.
Source: AWS General Reference, "Signature Version 4 signing process"; for the ways of
S3, "Authenticating Requests (AWS Signature Version 4)" in its API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final, Protocol

from portside.local.protocol.message import Request
from portside.local.signature.canonical import canonical_request, query_pairs

ALGORITHM: Final = "AWS4-HMAC-SHA256"
LONG_LEEWAY: Final = timedelta(minutes=15)
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
    BAD_QUERY = "bad query"
    """The same of a signature in the query, which S3 tells apart."""
    UNKNOWN_KEY = "unknown key"
    BAD_TOKEN = "bad token"  # noqa: S105  the reason's name
    """The key is a temporary one, but this is not its session token."""
    OLD_TOKEN = "old token"  # noqa: S105  the reason's name
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
    token: str | None
    """The session token that goes with temporary credentials."""

    @property
    def scope(self) -> str:
        """The credential scope, as it goes into the string to sign."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"

    @property
    def presigned(self) -> bool:
        """Whether the signature came in the query."""
        return self.expires_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What the signatures of a body's chunks go on from, when the head's is proved."""

    key: bytes = field(repr=False)
    timestamp: str
    scope: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A proved identity."""

    access_key_id: str
    token: str | None = field(repr=False)
    seed: Seed | None
    """None where the form of the signature knows no signed chunks."""


class Secrets(Protocol):
    """Who knows the keys."""

    def secret_of(self, access_key_id: str, *, token: str | None) -> str | Reason:
        """The key's secret; why there is none: UNKNOWN_KEY, BAD_TOKEN or OLD_TOKEN."""
        ...


def read_claim(request: Request) -> Claim | Denial:
    """Find the signature of a request, in either form."""
    authorization = request.header("authorization")
    if authorization is not None:
        return _claim_of_header(request, authorization)
    query = dict(query_pairs(request.query))
    if "X-Amz-Algorithm" in query or "X-Amz-Signature" in query:
        return _claim_of_query(query)
    return Denial(reason=Reason.MISSING)


def declared_hash(request: Request, claim: Claim) -> str | None:
    """The body hash that S3 goes by: the client's word, to which the body is held as it streams.

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
    secrets: Secrets,
    now: datetime,
    leeway: timedelta = LONG_LEEWAY,
) -> Caller | Denial:
    """Prove a claim: a key that is known, a time that is near, a signature that fits."""
    secret = secrets.secret_of(claim.access_key_id, token=claim.token)
    if isinstance(secret, Reason):
        return Denial(reason=secret)
    denial = _check_time(claim, now=now, leeway=leeway)
    if denial is not None:
        return denial
    if claim.service == "s3" and not _amz_headers_signed(request, claim):
        return Denial(reason=Reason.UNSIGNED_HEADER)
    seed = sign(request, claim, body_hash=body_hash, secret=secret)
    if not hmac.compare_digest(seed.signature.encode(), claim.signature.encode()):
        return Denial(reason=Reason.MISMATCH)
    return Caller(access_key_id=claim.access_key_id, token=claim.token, seed=seed)


def sign(request: Request, claim: Claim, *, body_hash: str, secret: str) -> Seed:
    """The signature that a claim should have; the one in it is not looked at."""
    canonical = canonical_request(
        request, claim.signed_headers, body_hash=body_hash, s3=claim.service == "s3"
    )
    digest = hashlib.sha256(canonical).hexdigest()
    to_sign = f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return Seed(key=key, timestamp=claim.timestamp, scope=claim.scope, signature=signature)


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
        token=request.header("x-amz-security-token") or None,
    )


def _claim_of_query(query: dict[str, str]) -> Claim | Denial:
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        return _bad_query(_UNSUPPORTED)
    # STS and others sign queries without a time to live; then the clock's leeway is all there is.
    expires = query.get("X-Amz-Expires", str(int(LONG_LEEWAY.total_seconds())))
    if (wrong := _wrong_expires(expires)) is not None:
        return _bad_query(wrong)
    claim = _claim(
        credential=query.get("X-Amz-Credential", ""),
        signed_headers=query.get("X-Amz-SignedHeaders", ""),
        signature=query.get("X-Amz-Signature", ""),
        timestamp=query.get("X-Amz-Date", ""),
        expires_s=int(expires),
        token=query.get("X-Amz-Security-Token") or None,
    )
    return _bad_query(claim.detail) if isinstance(claim, Denial) else claim


def _wrong_expires(expires: str) -> str | None:
    """What is wrong with a time to live, in S3's words; None where nothing is.

    The texts as S3's error AuthorizationQueryParametersError has them.
    """
    if re.fullmatch(r"-[0-9]+", expires):
        return "X-Amz-Expires must be non-negative"
    if not re.fullmatch(r"[0-9]+", expires):
        return "X-Amz-Expires should be a number"
    if len(expires) > len(str(MAX_EXPIRES_S)) or int(expires) > MAX_EXPIRES_S:
        return (
            "X-Amz-Expires must be less than a week (in seconds); "
            f"that is, the given X-Amz-Expires must be less than {MAX_EXPIRES_S} seconds"
        )
    return None


def _claim(
    *,
    credential: str,
    signed_headers: str,
    signature: str,
    timestamp: str,
    expires_s: int | None,
    token: str | None,
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
        token=token,
    )


def _timestamp_of_date(date: str | None) -> str:
    """A client that sets `Date` signs the same moment in the form of `X-Amz-Date`."""
    try:
        return parsedate_to_datetime(date or "").astimezone(UTC).strftime(TIME_FORMAT)
    except ValueError:
        return ""


def _incomplete(detail: str) -> Denial:
    return Denial(reason=Reason.INCOMPLETE, detail=detail)


def _bad_query(detail: str) -> Denial:
    return Denial(reason=Reason.BAD_QUERY, detail=detail)


# --- Proving the claim -------------------------------------------------------


def _check_time(claim: Claim, *, now: datetime, leeway: timedelta) -> Denial | None:
    signed_at = _parse_time(claim.timestamp)
    if signed_at is None:
        return Denial(reason=Reason.INCOMPLETE)
    minutes = int(leeway.total_seconds() // 60)
    if signed_at > now + leeway:
        latest = (now + leeway).strftime(TIME_FORMAT)
        detail = (
            f"Signature not yet current: {claim.timestamp} is still later than "
            f"{latest} ({now.strftime(TIME_FORMAT)} + {minutes} min.)"
        )
        return Denial(reason=Reason.EARLY, detail=detail)
    if claim.expires_s is not None:
        if now > signed_at + timedelta(seconds=claim.expires_s):
            return Denial(reason=Reason.EXPIRED)
        return None
    if signed_at < now - leeway:
        earliest = (now - leeway).strftime(TIME_FORMAT)
        detail = (
            f"Signature expired: {claim.timestamp} is now earlier than "
            f"{earliest} ({now.strftime(TIME_FORMAT)} - {minutes} min.)"
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
