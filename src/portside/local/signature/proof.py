"""Requests held to the keys: who signed a request, and whether it is what he signed.

What does not hold is refused in the words of the service that was asked (`denial`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request
from portside.local.protocol.service import S3, Service
from portside.local.signature import sigv2, sigv4
from portside.local.signature.claim import Claim, Denial, Reason
from portside.local.signature.denial import deny, leeway

if TYPE_CHECKING:
    from portside.local.asgi import Body
    from portside.local.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request with what it says of itself."""

    request: Request
    request_id: str
    claim: Claim
    service: Service


class Prover:
    """Proves requests by the keys that `secrets` knows."""

    def __init__(self, secrets: sigv4.Secrets, *, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock

    def prove(self, asked: Asked, *, body_hash: str) -> sigv4.Caller:
        """Who signed a request with this body; raises `Fault`."""
        verdict = sigv4.verify(
            asked.request,
            asked.claim,
            body_hash=body_hash,
            secrets=self._secrets,
            now=self._now(),
            leeway=leeway(asked.service),
        )
        if isinstance(verdict, Denial):
            raise deny(asked.service, verdict)
        return verdict

    def prove_link(self, request: Request) -> None:
        """Check a presigned link of S3 in its older form; raises `Fault`."""
        verdict = sigv2.verify(request, secrets=self._secrets, now=self._now())
        if isinstance(verdict, Denial):
            raise deny(S3, verdict)

    async def check_key(self, asked: Asked, body: Body) -> None:
        """Refuse whose key is not known before memory is given to what he sends."""
        secret = self._secrets.secret_of(asked.claim.access_key_id, token=asked.claim.token)
        if isinstance(secret, Reason):
            async for _ in body:  # to its end, so that he hears why
                pass
            raise deny(asked.service, Denial(reason=secret))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)


def declared_hash(asked: Asked) -> str:
    """The body hash that a request to S3 goes by; raises `Fault` where it names none."""
    declared = sigv4.declared_hash(asked.request, asked.claim)
    if declared is None:
        message = "Missing required header for this request: x-amz-content-sha256"
        raise Fault("InvalidRequest", message)
    return declared
