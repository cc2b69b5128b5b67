"""Portside's own paths on AWS's port: how the local SageMaker fares, and how to empty it.

    GET  /_portside/health      anybody on this machine
    GET  /_portside/endpoints   signed
    POST /_portside/reset       signed

Signed for any service, as who can empty the folder must be able to read its keys. None of
them is for web pages.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeAlias

from portside.local.asgi import Body
from portside.local.protocol.message import Request, Response
from portside.local.protocol.service import RUNTIME
from portside.local.signature.claim import Claim, Denial
from portside.local.signature.denial import deny
from portside.local.signature.proof import Asked

OWN_PREFIX: Final = "/_portside/"

Prove: TypeAlias = Callable[[Asked, Body], Awaitable[object]]
"""Reads a body and proves that its request is signed; raises `Fault`."""


class Owner(Protocol):
    """Who owns the parts, and can clear them away and put them up again."""

    def health(self) -> dict[str, Any]:
        """What is running and how it fares."""
        ...

    def endpoints(self) -> list[dict[str, Any]]:
        """What runs of every endpoint, and how many invocations it had."""
        ...

    async def reset(self) -> None:
        """Empty everything."""
        ...


class OwnPaths:
    """Answers what is asked of Portside itself."""

    def __init__(self, owner: Owner, *, prove: Prove) -> None:
        self._owner = owner
        self._prove = prove

    async def answer(
        self, request: Request, body: Body, *, claim: Claim | Denial, request_id: str
    ) -> Response:
        """Answer a request that a program sent; raises `Fault`."""
        match request.method, request.path.removeprefix(OWN_PREFIX):
            case "GET", "health":
                return json_response(200, self._owner.health())
            case "GET", "endpoints":
                await self._prove_signed(request, body, claim=claim, request_id=request_id)
                return json_response(200, {"endpoints": self._owner.endpoints()})
            case "POST", "reset":
                await self._prove_signed(request, body, claim=claim, request_id=request_id)
                await self._owner.reset()
                return json_response(200, {"status": "empty"})
            case _:
                known = "`GET health`, `GET endpoints` and `POST reset`"
                return json_response(404, {"error": f"there are {known}"})

    async def _prove_signed(
        self, request: Request, body: Body, *, claim: Claim | Denial, request_id: str
    ) -> None:
        if isinstance(claim, Denial):
            raise deny(RUNTIME, claim)
        asked = Asked(request=request, request_id=request_id, claim=claim, service=RUNTIME)
        await self._prove(asked, body)


def json_response(status: int, content: dict[str, Any]) -> Response:
    """A response of Portside's own, one line of JSON."""
    body = json.dumps(content).encode() + b"\n"
    return Response(status=status, headers=(("Content-Type", "application/json"),), body=body)
