"""Denied requests in the words of the service that was asked, and how punctual it wants them."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from portside.local.protocol.fault import Fault
from portside.local.protocol.service import Service, Wire
from portside.local.signature.claim import LONG_LEEWAY, Denial, Reason

_SHORT_LEEWAY: Final = timedelta(minutes=5)
"""Of the JSON services: "- 5 min." stands in their refusals, as in boto/botocore#3587.
STS says "- 15 min.", aws/aws-cli#6676."""

_UNKNOWN_KEY: Final = "The security token included in the request is invalid."
_TOO_OLD: Final = "The security token included in the request is expired"
_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. "
    "Consult the service documentation for details."
)
_UNSIGNED_HEADER: Final = "There were headers present in the request which were not signed"

# API Reference of each service, "Common Errors"; S3 API Reference, "Error responses".
_JSON: Final[dict[Reason, tuple[str, str]]] = {
    Reason.MISSING: ("MissingAuthenticationTokenException", "Missing Authentication Token"),
    Reason.INCOMPLETE: ("IncompleteSignatureException", ""),
    Reason.BAD_QUERY: ("IncompleteSignatureException", ""),
    Reason.UNKNOWN_KEY: ("UnrecognizedClientException", _UNKNOWN_KEY),
    Reason.BAD_TOKEN: ("UnrecognizedClientException", _UNKNOWN_KEY),
    Reason.OLD_TOKEN: ("ExpiredTokenException", _TOO_OLD),
    Reason.MISMATCH: ("InvalidSignatureException", _MISMATCH),
    Reason.UNSIGNED_HEADER: ("InvalidSignatureException", _UNSIGNED_HEADER),
    Reason.EARLY: ("InvalidSignatureException", ""),
    Reason.LATE: ("InvalidSignatureException", ""),
    Reason.EXPIRED: ("InvalidSignatureException", "Signature expired"),
}
_QUERY: Final[dict[Reason, tuple[str, str]]] = {
    Reason.MISSING: ("MissingAuthenticationToken", "Request is missing Authentication Token"),
    Reason.INCOMPLETE: ("IncompleteSignature", ""),
    Reason.BAD_QUERY: ("IncompleteSignature", ""),
    Reason.UNKNOWN_KEY: ("InvalidClientTokenId", _UNKNOWN_KEY),
    Reason.BAD_TOKEN: ("InvalidClientTokenId", _UNKNOWN_KEY),
    Reason.OLD_TOKEN: ("ExpiredToken", _TOO_OLD),
    Reason.MISMATCH: ("SignatureDoesNotMatch", _MISMATCH),
    Reason.UNSIGNED_HEADER: ("SignatureDoesNotMatch", _UNSIGNED_HEADER),
    Reason.EARLY: ("SignatureDoesNotMatch", ""),
    Reason.LATE: ("SignatureDoesNotMatch", ""),
    Reason.EXPIRED: ("SignatureDoesNotMatch", "Signature expired"),
}
_TOO_SKEWED: Final = "The difference between the request time and the current time is too large."
_XML_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your key and signing method."
)
_XML: Final[dict[Reason, tuple[str, str]]] = {
    Reason.MISSING: ("AccessDenied", "Access Denied"),
    Reason.INCOMPLETE: ("AuthorizationHeaderMalformed", ""),
    Reason.BAD_QUERY: ("AuthorizationQueryParametersError", ""),
    Reason.UNKNOWN_KEY: (
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
    Reason.BAD_TOKEN: (
        "InvalidToken",
        "The provided token is malformed or otherwise invalid.",
    ),
    Reason.OLD_TOKEN: ("ExpiredToken", "The provided token has expired."),
    Reason.MISMATCH: ("SignatureDoesNotMatch", _XML_MISMATCH),
    Reason.UNSIGNED_HEADER: ("AccessDenied", _UNSIGNED_HEADER),
    Reason.EARLY: ("RequestTimeTooSkewed", _TOO_SKEWED),
    Reason.LATE: ("RequestTimeTooSkewed", _TOO_SKEWED),
    Reason.EXPIRED: ("AccessDenied", "Request has expired"),
}
_WORDS: Final = {
    Wire.JSON: _JSON,
    Wire.REST_JSON: _JSON,
    Wire.REST_XML: _XML,
    Wire.QUERY: _QUERY,
}


_STATUS_400: Final = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "InvalidToken",
    }
)
"""S3 API Reference, "Error responses"; all others are 403."""


def leeway(service: Service) -> timedelta:
    """How far the clock of a client of this service may be off."""
    return _SHORT_LEEWAY if service.wire in {Wire.JSON, Wire.REST_JSON} else LONG_LEEWAY


def deny(service: Service, denial: Denial) -> Fault:
    """The fault that answers a denied request."""
    code, message = _WORDS[service.wire][denial.reason]
    old_token_of_s3 = service.wire is Wire.REST_XML and denial.reason is Reason.OLD_TOKEN
    status = 400 if code in _STATUS_400 or old_token_of_s3 else 403
    return Fault(code, message or denial.detail, status=status)
