"""The gateway: one port for all of AWS, and the whole request path on one screen.

    ASGI ─▶ Request ─▶ whose signature? ─▶ which service? ─▶ body ─▶ signature proved
        ├─ s3           ─▶ object store, streamed both ways
        ├─ iam, sts     ─▶ delegated
        └─ all others   ─▶ operation ─▶ parse ─▶ validate ─▶ handler ─▶ serialize

A fault anywhere on the way becomes the answer, in the protocol of the service that was
asked; whatever else is raised is a bug of ours: InternalFailure to the caller, the
traceback to the log. Two paths are Portside's own and need no signature, but a
request that no web page can make: `GET /_portside/health` and `POST /_portside/reset`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside.contract import REALTIME_PAYLOAD_BYTES
from portside.local import sigv4
from portside.local.asgi import Body, Receive, Scope, Send, read_request, send_response
from portside.local.denial import deny
from portside.local.protocol import parser, serializer
from portside.local.protocol.call import Call, Handler
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import ClientGoneError, Request, Response
from portside.local.protocol.service import (
    IAM,
    RUNTIME,
    S3,
    STS,
    Service,
    find_operation,
    find_service,
    guess_service,
)
from portside.local.protocol.validate import validate

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.data_folder import Keys

CONTROL_PAYLOAD_BYTES: Final = 1024 * 1024
"""Largest body of a control-plane request: ours, well above what AWS's own limits add up to."""

OWN_PREFIX: Final = "/_portside/"
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

_BUG: Final = "The local SageMaker ran into an error of its own. See its log, gateway.log."

_log = logging.getLogger(__name__)


class Objects(Protocol):
    """Who answers S3."""

    async def forward(self, request: Request, body: AsyncIterator[bytes]) -> Response:
        """Answer a request whose signature was checked."""
        ...


class Delegated(Protocol):
    """Who answers IAM and STS."""

    async def answer(self, service: str, request: Request, body: bytes) -> Response:
        """Answer a request whose signature was checked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What stands behind the gateway, while it stands."""

    objects: Objects
    delegated: Delegated
    operations: Mapping[str, Mapping[str, Handler]]
    """Handlers by botocore's names of service and operation."""


class Platform(Protocol):
    """Who owns the parts, and can clear them away and put them up again."""

    @property
    def parts(self) -> Parts | None:
        """The parts; None while they are not there."""
        ...

    def health(self) -> dict[str, Any]:
        """What is running and how it fares."""
        ...

    async def reset(self) -> None:
        """Empty everything."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request with what it says of itself."""

    request: Request
    request_id: str
    claim: sigv4.Claim
    service: Service


class Gateway:
    """The ASGI application."""

    def __init__(
        self, *, platform: Platform, keys: Keys, account: str, region: str, clock: Clock
    ) -> None:
        self._platform = platform
        self._secrets = {keys.access_key_id: keys.secret_access_key}
        self._account = account
        self._region = region
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        request, request_id = read_request(scope), str(uuid.uuid4())
        try:
            response = await self._answer(request, Body(receive), request_id=request_id)
        except ClientGoneError:
            return
        await send_response(response, send, request_id=request_id)
        _log.info(
            "%s %s %s %d %.1f ms %s",
            request.method,
            request.path,
            request.header("x-amz-target") or "-",
            response.status,
            (time.perf_counter() - started) * 1000,
            request_id,
        )

    async def _answer(self, request: Request, body: Body, *, request_id: str) -> Response:
        claim = sigv4.read_claim(request)
        known = None if isinstance(claim, sigv4.Denial) else find_service(claim.service, request)
        service = known or guess_service(request)
        try:
            if request.path.startswith(OWN_PREFIX):
                return await self._answer_own(request)
            if isinstance(claim, sigv4.Denial):
                return _faulty(service, deny(service, claim), request_id)
            if known is None:
                return _faulty(service, _not_built(f"The service `{claim.service}`"), request_id)
            asked = Asked(request=request, request_id=request_id, claim=claim, service=known)
            return await self._answer_signed(asked, body)
        except Fault as fault:
            return _faulty(service, fault, request_id)
        except ClientGoneError:
            raise
        except Exception:  # noqa: BLE001  a bug in one request must not end the rest
            _log.exception("a bug in %s %s, request %s", request.method, request.path, request_id)
            return _faulty(service, Fault("InternalFailure", _BUG, status=500), request_id)

    async def _answer_signed(self, asked: Asked, body: Body) -> Response:
        if asked.service is S3:
            declared = _declared_hash(asked)
            self._prove(asked, body_hash=declared)
            return await self._parts().objects.forward(asked.request, body.checked(declared))
        content = await body.read(limit=_body_limit(asked.service))
        self._prove(asked, body_hash=hashlib.sha256(content).hexdigest())
        if asked.service in {IAM, STS}:
            delegated = self._parts().delegated
            return await delegated.answer(asked.service.name, asked.request, content)
        return await self._answer_operation(asked, content)

    async def _answer_operation(self, asked: Asked, content: bytes) -> Response:
        operation = find_operation(asked.service, asked.request)
        handlers = self._parts().operations.get(asked.service.name, {})
        if operation.name not in handlers:
            raise _not_built(f"`{asked.service.name}:{operation.name}`")
        if asked.claim.region != self._region:
            raise _other_region(asked.claim.region, self._region)
        params = parser.parse(operation, asked.request, content)
        validate(operation, params)
        call = Call(
            service=asked.service.name,
            operation=operation.name,
            params=params,
            account=self._account,
            region=self._region,
            request_id=asked.request_id,
        )
        return serializer.serialize(operation, await handlers[operation.name](call))

    def _prove(self, asked: Asked, *, body_hash: str) -> None:
        verdict = sigv4.verify(
            asked.request,
            asked.claim,
            body_hash=body_hash,
            secret_of=self._secrets.get,
            now=datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC),
        )
        if isinstance(verdict, sigv4.Denial):
            raise deny(asked.service, verdict)

    def _parts(self) -> Parts:
        parts = self._platform.parts
        if parts is None:
            message = "The local SageMaker is being emptied. Try again in a moment."
            raise Fault("ServiceUnavailable", message, status=503)
        return parts

    async def _answer_own(self, request: Request) -> Response:
        if not _from_a_program(request):
            return _json(403, {"error": "requests of web pages and for other hosts are refused"})
        match request.method, request.path.removeprefix(OWN_PREFIX):
            case "GET", "health":
                return _json(200, self._platform.health())
            case "POST", "reset":
                await self._platform.reset()
                return _json(200, {"status": "empty"})
            case _:
                return _json(404, {"error": "there is `GET health` and `POST reset`"})


# --- Rules and refusals ------------------------------------------------------


def _json(status: int, content: dict[str, Any]) -> Response:
    body = json.dumps(content).encode() + b"\n"
    return Response(status=status, headers=(("Content-Type", "application/json"),), body=body)


def _from_a_program(request: Request) -> bool:
    """Whether no browser sent it, and it was meant for this machine (against DNS rebinding)."""
    host = (request.header("host") or "").rpartition(":")
    name = host[0] if host[2].isdecimal() else "".join(host)
    from_browser = request.header("origin") or request.header("sec-fetch-site")
    return name in _LOOPBACK_NAMES and not from_browser


def _body_limit(service: Service) -> int:
    return REALTIME_PAYLOAD_BYTES if service is RUNTIME else CONTROL_PAYLOAD_BYTES


def _declared_hash(asked: Asked) -> str:
    declared = sigv4.declared_hash(asked.request, asked.claim)
    if declared is None:
        message = "Missing required header for this request: x-amz-content-sha256"
        raise Fault("InvalidRequest", message)
    return declared


def _faulty(service: Service, fault: Fault, request_id: str) -> Response:
    return serializer.serialize_fault(service, fault, request_id=request_id)


def _not_built(what: str) -> Fault:
    message = f"{what} is not built in the local SageMaker"
    return Fault("NotImplementedException", message, status=501)


def _other_region(asked: str, ours: str) -> Fault:
    message = (
        f"Credential should be scoped to a valid region, not '{asked}'. "
        f"This local SageMaker is in '{ours}'."
    )
    return Fault("InvalidSignatureException", message, status=403)
