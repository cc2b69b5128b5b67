"""Presigned links of S3 in Signature Version 2, as boto3 and the AWS CLI still make them.

`generate_presigned_url` and `aws s3 presign` fall back to it for us-east-1 (botocore,
`ClientCreator._default_s3_presign_to_sigv2`), and such links work on AWS; in no other
place is version 2 taken.

    ?AWSAccessKeyId=KEY&Signature=BASE64&Expires=SECONDS ──verify──▶ Caller or Denial

Source: S3 User Guide, "Signing and authenticating REST requests (AWS Signature Version 2)".
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import datetime
from typing import Final

from portside.local.protocol.message import Request
from portside.local.signature.canonical import query_pairs, split_bucket
from portside.local.signature.claim import Denial, Reason
from portside.local.signature.sigv4 import Caller, Secrets

_EXPIRES: Final = re.compile(r"[0-9]{1,12}")
"""Seconds since 1970."""
_SUBRESOURCES: Final = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "delete",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "select",
        "select-type",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    }
)
"""The parts of a query that are signed; botocore's `HmacV1Auth.QSAOfInterest`."""


def is_link(request: Request) -> bool:
    """Whether a request is presigned in this way."""
    return any(pair.startswith("AWSAccessKeyId=") for pair in request.query.split("&"))


def verify(request: Request, *, secrets: Secrets, now: datetime) -> Caller | Denial:
    """Prove a presigned request: a key that is known, time left, a signature that fits."""
    query = dict(query_pairs(request.query))
    if "Signature" not in query or not _EXPIRES.fullmatch(query.get("Expires", "")):
        detail = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId"
        return Denial(reason=Reason.BAD_QUERY, detail=f"{detail} parameters")
    key, token = query["AWSAccessKeyId"], query.get("x-amz-security-token")
    secret = secrets.secret_of(key, token=token)
    if isinstance(secret, Reason):
        return Denial(reason=secret)
    if int(query["Expires"]) < now.timestamp():
        return Denial(reason=Reason.EXPIRED)
    text = _string_to_sign(request, query).encode("latin-1", "replace")
    signature = base64.b64encode(hmac.digest(secret.encode(), text, "sha1"))
    if not hmac.compare_digest(signature, query["Signature"].encode()):
        return Denial(reason=Reason.MISMATCH)
    return Caller(access_key_id=key, token=token, seed=None)


def _string_to_sign(request: Request, query: dict[str, str]) -> str:
    sent = {name: request.header(name) or "" for name, _ in request.headers}
    amz = {name: value for name, value in (query | sent).items() if name.startswith("x-amz-")}
    signed = sorted(pair for pair in query_pairs(request.query) if pair[0] in _SUBRESOURCES)
    resource = "&".join(f"{name}={value}" if value else name for name, value in signed)
    _, path = split_bucket(request)
    return "\n".join(
        [
            request.method,
            sent.get("content-md5", ""),
            sent.get("content-type", ""),
            query["Expires"],
            *(f"{name}:{value.strip()}" for name, value in sorted(amz.items())),
            f"{path}?{resource}" if resource else path,
        ]
    )
