"""A proved request of S3, signed anew for the store that is to answer it.

The store knows one pair of keys, which need not be the caller's: temporary credentials,
presigned links and a store of the user's own all become a signature in the header.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from portside.local.data_folder import Keys
from portside.local.protocol.message import Request
from portside.local.signature import sigv4
from portside.local.signature.claim import ALGORITHM, TIME_FORMAT, Claim
from portside.local.signature.sigv4 import Seed

_HASH: Final = "x-amz-content-sha256"
_OLD: Final = frozenset({"authorization", "date", "x-amz-date", "x-amz-security-token", _HASH})
"""Headers of the signature that was."""
_OLD_QUERY: Final = (
    "AWSAccessKeyId=",
    "Expires=",
    "Signature=",
    "X-Amz-Algorithm=",
    "X-Amz-Content-Sha256=",
    "X-Amz-Credential=",
    "X-Amz-Date=",
    "X-Amz-Expires=",
    "X-Amz-Security-Token=",
    "X-Amz-SignedHeaders=",
    "X-Amz-Signature=",
    "x-amz-security-token=",
)
"""What a link of either version has in its query; S3 itself knows none of these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs with the store's keys, for its region."""

    keys: Keys
    region: str

    def sign(self, request: Request, *, body_hash: str, now: datetime) -> tuple[Request, Seed]:
        """The request under another signature, and what its chunks' signatures go on from."""
        timestamp = now.strftime(TIME_FORMAT)
        kept = [(name, value) for name, value in request.headers if name not in _OLD]
        headers = (*kept, ("x-amz-date", timestamp), (_HASH, body_hash))
        unsigned = replace(request, headers=headers, query=_unsigned(request.query))
        names = {name for name, _ in headers if name == "host" or name.startswith("x-amz-")}
        claim = Claim(
            access_key_id=self.keys.access_key_id,
            date=timestamp[:8],
            region=self.region,
            service="s3",
            signed_headers=tuple(sorted(names)),
            signature="",
            timestamp=timestamp,
            expires_s=None,
            token=None,
        )
        seed = sigv4.sign(unsigned, claim, body_hash=body_hash, secret=self.keys.secret_access_key)
        authorization = (
            f"{ALGORITHM} Credential={claim.access_key_id}/{claim.scope}, "
            f"SignedHeaders={';'.join(claim.signed_headers)}, Signature={seed.signature}"
        )
        signed = replace(unsigned, headers=(*headers, ("authorization", authorization)))
        return signed, seed


def _unsigned(query: str) -> str:
    """The query without the signature that may have been in it, otherwise byte for byte."""
    return "&".join(pair for pair in query.split("&") if not pair.startswith(_OLD_QUERY))
