"""Denied requests in the words of the service that was asked."""

from __future__ import annotations

from typing import Final

from portside.local.protocol.fault import Fault
from portside.local.protocol.service import Service, Wire
from portside.local.sigv4 import Denial, Reason

_UNKNOWN_KEY: Final = "The security token included in the request is invalid."
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
    Reason.UNKNOWN_KEY: ("UnrecognizedClientException", _UNKNOWN_KEY),
    Reason.MISMATCH: ("InvalidSignatureException", _MISMATCH),
    Reason.UNSIGNED_HEADER: ("InvalidSignatureException", _UNSIGNED_HEADER),
    Reason.EARLY: ("InvalidSignatureException", ""),
    Reason.LATE: ("InvalidSignatureException", ""),
    Reason.EXPIRED: ("InvalidSignatureException", "Signature expired"),
}
_QUERY: Final[dict[Reason, tuple[str, str]]] = {
    Reason.MISSING: ("MissingAuthenticationToken", "Request is missing Authentication Token"),
    Reason.INCOMPLETE: ("IncompleteSignature", ""),
    Reason.UNKNOWN_KEY: ("InvalidClientTokenId", _UNKNOWN_KEY),
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
    Reason.UNKNOWN_KEY: (
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
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


def deny(service: Service, denial: Denial) -> Fault:
    """The fault that answers a denied request: 403, as AWS has it for all of them but one."""
    code, message = _WORDS[service.wire][denial.reason]
    status = 400 if code == "AuthorizationHeaderMalformed" else 403
    return Fault(code, message or denial.detail, status=status)
