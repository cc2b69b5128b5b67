"""Who signed this request? AWS Signature Version 4, checked from the server's side.

The check has two steps, because the service named in the credential scope decides how
the rest is to be read:

    request ──read_claim──▶ Claim ──verify(body hash, secrets, now)──▶ Caller or Denial
              (`claim`)

Nothing here does input or output, and nothing raises: a denial is a value, which
module `denial` puts into the words of the service that was asked.
Source: AWS General Reference, "Signature Version 4 signing process"; for the ways of
S3, "Authenticating Requests (AWS Signature Version 4)" in its API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from portside.local.protocol.message import Request
from portside.local.signature.canonical import canonical_request
from portside.local.signature.claim import (
    ALGORITHM,
    LONG_LEEWAY,
    TIME_FORMAT,
    Claim,
    Denial,
    Reason,
    parse_time,
)

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"


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


def _check_time(claim: Claim, *, now: datetime, leeway: timedelta) -> Denial | None:
    signed_at = parse_time(claim.timestamp)
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


def _amz_headers_signed(request: Request, claim: Claim) -> bool:
    sent = {name for name, _ in request.headers if name.startswith("x-amz-")}
    return sent <= set(claim.signed_headers)
