"""What a request says about its own signature, in either of the forms that Version 4 has.

The `Authorization` header or, presigned, the query. Nothing of it is proved here (`sigv4`), and
nothing raises: a denial is a value, which `denial` puts into the words of the service that was
asked. Sources: as of `sigv4`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from portside.local.protocol.message import Request
from portside.local.signature.canonical import query_pairs

ALGORITHM: Final = "AWS4-HMAC-SHA256"
LONG_LEEWAY: Final = timedelta(minutes=15)
"""How far a client's clock may be off. S3 API Reference, RequestTimeTooSkewed."""
MAX_EXPIRES_S: Final = 604_800
"""Seven days, the longest life of a presigned request. S3 API Reference, X-Amz-Expires."""

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


def read_claim(request: Request) -> Claim | Denial:
    """Find the signature of a request, in either form."""
    authorization = request.header("authorization")
    if authorization is not None:
        return _claim_of_header(request, authorization)
    query = dict(query_pairs(request.query))
    if "X-Amz-Algorithm" in query or "X-Amz-Signature" in query:
        return _claim_of_query(query)
    return Denial(reason=Reason.MISSING)


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
    if parse_time(timestamp) is None or not timestamp.startswith(scope["date"]):
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


def parse_time(timestamp: str) -> datetime | None:
    """The moment that `X-Amz-Date` names; None where it makes no sense."""
    try:
        return datetime.strptime(timestamp, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
