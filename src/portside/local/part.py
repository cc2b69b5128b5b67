"""What stands behind the gateway: who answers for which of AWS's services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from portside.local.protocol.call import Handler
from portside.local.protocol.message import Request, Response
from portside.local.signature.sigv4 import Seed

if TYPE_CHECKING:
    from portside.local.asgi import Body


class Objects(Protocol):
    """Who answers S3."""

    async def forward(
        self,
        request: Request,
        body: AsyncIterator[bytes],
        *,
        body_hash: str,
        seed: Seed | None,
    ) -> Response:
        """Answer a request whose signature was checked, but for those of its body's chunks."""
        ...


class Registry(Protocol):
    """Who answers docker, podman and skopeo."""

    async def answer(self, request: Request, body: Body) -> Response:
        """Answer a request under `/v2/`, whoever sent it."""
        ...


class Delegated(Protocol):
    """Who answers IAM, STS, SNS, CloudWatch and Application Auto Scaling."""

    async def answer(self, service: str, request: Request, body: bytes) -> Response:
        """Answer a request whose signature was checked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everybody who answers."""

    objects: Objects
    delegated: Delegated
    registry: Registry
    operations: Mapping[str, Mapping[str, Handler]]
    """Handlers by botocore's names of service and operation."""
