"""The gateway: one port for all of AWS, and the whole request path on one screen.

    ASGI ─▶ Request ─▶ /v2/, unsigned? ─▶ the registry, which asks for its own password
               │
               └─▶ whose signature? ─▶ which service? ─▶ body ─▶ signature proved
        ├─ s3           ─▶ object store, streamed both ways
        ├─ iam, sts, sns, cloudwatch, application-autoscaling ─▶ delegated
        └─ all others   ─▶ operation ─▶ parse ─▶ validate ─▶ handler ─▶ serialize

A fault anywhere on the way becomes the answer, in the protocol of the service that was
asked; whatever else is raised is a bug of ours: InternalFailure to the caller, the
traceback to the log.

Three paths are Portside's own, and not for web pages. `GET /_portside/health` needs no
signature; `GET /_portside/endpoints` and `POST /_portside/reset` need one, for any service, as
who can empty the folder must be able to read its keys.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside.local.asgi import (
    Body,
    Outgoing,
    Receive,
    Scope,
    Send,
    encode_response,
    read_request,
    send_response,
    unless_gone,
)
from portside.local.listener import is_loopback
from portside.local.protocol import parser, serializer
from portside.local.protocol.call import Call, Handler, Value
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import ClientGoneError, Request, Response
from portside.local.protocol.service import (
    DELEGATED,
    ECR,
    GLOBAL,
    RUNTIME,
    S3,
    STS,
    Operation,
    Service,
    find_operation,
    find_service,
    guess_service,
)
from portside.local.protocol.validate import validate
from portside.local.refusal import BUG, not_built, unavailable
from portside.local.signature import sigv2, sigv4
from portside.local.signature.denial import deny, leeway
from portside.local.signature.key_ring import KeyRing
from portside.local.state.store import StateFileError

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.data_folder import Keys

CONTROL_PAYLOAD_BYTES: Final = 1024 * 1024
"""Largest body of a control-plane request: ours, well above what AWS's own limits add up to."""
INVOCATION_PAYLOAD_BYTES: Final = 64 * 1024 * 1024
"""Largest body of an invocation that is held in memory: ours, well above SageMaker's own limits,
which depend on the endpoint and are refused by the runtime in its own words."""

LAYER_PART_PAYLOAD_BYTES: Final = 28 * 1024 * 1024
"""Largest body of an UploadLayerPart: 20 MiB of a layer (BC LayerPartBlob) in base64, and names."""

OWN_PREFIX: Final = "/_portside/"
REGISTRY_PREFIX: Final = "/v2/"
"""The OCI distribution specification's; no bucket has a name as short."""

_NOT_A_PROGRAM: Final = "requests of web pages and for other hosts are refused"

_log = logging.getLogger(__name__)


class Objects(Protocol):
    """Who answers S3."""

    async def forward(
        self,
        request: Request,
        body: AsyncIterator[bytes],
        *,
        body_hash: str,
        seed: sigv4.Seed | None,
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
    """What stands behind the gateway, while it stands."""

    objects: Objects
    delegated: Delegated
    registry: Registry
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

    def endpoints(self) -> list[dict[str, Any]]:
        """What runs of every endpoint, and how many invocations it had."""
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
        self,
        *,
        platform: Platform,
        keys: Keys,
        account: str,
        region: str,
        clock: Clock,
        loopback_only: bool = True,
    ) -> None:
        self._platform = platform
        self._keys = KeyRing(keys, clock=clock)
        self._account = account
        self._region = region
        self._clock = clock
        self._loopback_only = loopback_only
        # Each takes some 120 MB while it is read and decoded, and clients send a dozen at once.
        self._one_layer_part = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        request, request_id = read_request(scope), str(uuid.uuid4())
        body = Body(receive)
        try:
            answer = await self._answer(request, body, request_id=request_id)
            await send_response(answer, send, body)
        except ClientGoneError:
            return
        _log.info(
            "%s %s %s %d %.1f ms %s",
            request.method,
            request.path,
            request.header("x-amz-target") or "-",
            answer.status,
            (time.perf_counter() - started) * 1000,
            request_id,
        )

    async def _answer(self, request: Request, body: Body, *, request_id: str) -> Outgoing:
        """Whatever happens, something that can be sent."""
        claim = sigv4.read_claim(request)
        try:
            response = await self._respond(request, claim, body, request_id=request_id)
            return encode_response(response, request_id=request_id)
        except Fault as fault:
            refused = fault
        except StateFileError as error:
            _log.error("%s, request %s", error, request_id)
            refused = unavailable(f"The local SageMaker {error.message}. {error.hint}")
        except ClientGoneError:
            raise
        except Exception:  # noqa: BLE001  a bug in one request must not end the rest
            _log.exception("a bug in %s %s, request %s", request.method, request.path, request_id)
            refused = Fault("InternalFailure", BUG, status=500)
        service = _who_refuses(request, claim)
        response = serializer.serialize_fault(service, refused, request_id=request_id)
        return encode_response(response, request_id=request_id)

    async def _respond(
        self, request: Request, claim: sigv4.Claim | sigv4.Denial, body: Body, *, request_id: str
    ) -> Response:
        if request.path.startswith(OWN_PREFIX):
            return await self._answer_own(request, claim, body, request_id=request_id)
        if _is_for_registry(request, claim):
            return await self._answer_registry(request, body)
        if sigv2.is_link(request):
            return await self._answer_link(request, body)
        if isinstance(claim, sigv4.Denial):
            raise deny(_who_refuses(request, claim), claim)
        service = find_service(claim.service, request)
        if service is None:
            raise not_built(f"The service `{claim.service}`")
        asked = Asked(request=request, request_id=request_id, claim=claim, service=service)
        if not _is_layer_part(asked):
            return await self._answer_signed(asked, body)
        await self._check_key(asked, body)
        async with self._one_layer_part:
            return await self._answer_signed(asked, body)

    async def _answer_registry(self, request: Request, body: Body) -> Response:
        if not _from_a_program(request, loopback_only=self._loopback_only):
            return _json(403, {"errors": [{"code": "DENIED", "message": _NOT_A_PROGRAM}]})
        return await self._parts().registry.answer(request, body)

    async def _answer_link(self, request: Request, body: Body) -> Response:
        verdict = sigv2.verify(request, secrets=self._keys, now=self._now())
        if isinstance(verdict, sigv4.Denial):
            raise deny(S3, verdict)
        return await self._parts().objects.forward(
            request, aiter(body), body_hash=sigv4.UNSIGNED_PAYLOAD, seed=None
        )

    async def _answer_signed(self, asked: Asked, body: Body) -> Response:
        if asked.service is S3:
            declared = _declared_hash(asked)
            seed = self._prove(asked, body_hash=declared).seed
            return await self._parts().objects.forward(
                asked.request, body.checked(declared), body_hash=declared, seed=seed
            )
        caller, content = await self._read_proved(asked, body)
        if asked.service in DELEGATED:
            if asked.service not in GLOBAL and asked.claim.region != self._region:
                raise _other_region(asked.claim.region, self._region)
            delegated = self._parts().delegated
            answer = await delegated.answer(asked.service.name, asked.request, content)
            return self._keys.reissue(answer, caller=caller) if asked.service is STS else answer
        if asked.service is RUNTIME:  # an invocation may wait long, and hold a place meanwhile
            return await unless_gone(self._answer_operation(asked, content), body)
        return await self._answer_operation(asked, content)

    async def _answer_operation(self, asked: Asked, content: bytes) -> Response:
        operation = find_operation(asked.service, asked.request)
        handlers = self._parts().operations.get(asked.service.name, {})
        if operation.name not in handlers:
            raise not_built(f"`{asked.service.name}:{operation.name}`")
        if asked.claim.region != self._region:
            raise _other_region(asked.claim.region, self._region)
        params = await _parse(operation, asked.request, content)
        call = Call(
            service=asked.service.name,
            operation=operation.name,
            params=params,
            account=self._account,
            region=self._region,
            request_id=asked.request_id,
            received_s=asked.request.received_s,
        )
        return serializer.serialize(operation, await handlers[operation.name](call))

    async def _check_key(self, asked: Asked, body: Body) -> None:
        """Refuse whose key is not known before memory is given to what he sends."""
        secret = self._keys.secret_of(asked.claim.access_key_id, token=asked.claim.token)
        if isinstance(secret, sigv4.Reason):
            async for _ in body:  # to its end, so that he hears why
                pass
            raise deny(asked.service, sigv4.Denial(reason=secret))

    async def _read_proved(self, asked: Asked, body: Body) -> tuple[sigv4.Caller, bytes]:
        content = await body.read(limit=_body_limit(asked))
        return self._prove(asked, body_hash=body.sha256), content

    def _prove(self, asked: Asked, *, body_hash: str) -> sigv4.Caller:
        verdict = sigv4.verify(
            asked.request,
            asked.claim,
            body_hash=body_hash,
            secrets=self._keys,
            now=self._now(),
            leeway=leeway(asked.service),
        )
        if isinstance(verdict, sigv4.Denial):
            raise deny(asked.service, verdict)
        return verdict

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    def _parts(self) -> Parts:
        parts = self._platform.parts
        if parts is None:
            raise unavailable("The local SageMaker is being emptied. Try again in a moment.")
        return parts

    async def _answer_own(
        self, request: Request, claim: sigv4.Claim | sigv4.Denial, body: Body, *, request_id: str
    ) -> Response:
        if not _from_a_program(request, loopback_only=self._loopback_only):
            return _json(403, {"error": _NOT_A_PROGRAM})
        match request.method, request.path.removeprefix(OWN_PREFIX):
            case "GET", "health":
                return _json(200, self._platform.health())
            case "GET", "endpoints":
                await self._prove_own(request, claim, body, request_id=request_id)
                return _json(200, {"endpoints": self._platform.endpoints()})
            case "POST", "reset":
                await self._prove_own(request, claim, body, request_id=request_id)
                await self._platform.reset()
                return _json(200, {"status": "empty"})
            case _:
                known = "`GET health`, `GET endpoints` and `POST reset`"
                return _json(404, {"error": f"there are {known}"})

    async def _prove_own(
        self, request: Request, claim: sigv4.Claim | sigv4.Denial, body: Body, *, request_id: str
    ) -> None:
        if isinstance(claim, sigv4.Denial):
            raise deny(RUNTIME, claim)
        asked = Asked(request=request, request_id=request_id, claim=claim, service=RUNTIME)
        await self._read_proved(asked, body)


# --- Rules and refusals ------------------------------------------------------


def _json(status: int, content: dict[str, Any]) -> Response:
    body = json.dumps(content).encode() + b"\n"
    return Response(status=status, headers=(("Content-Type", "application/json"),), body=body)


def _from_a_program(request: Request, *, loopback_only: bool) -> bool:
    """Whether no browser sent it, and it was meant for this machine (against DNS rebinding)."""
    host = (request.header("host") or "").rpartition(":")
    name = host[0] if host[2].isdecimal() else "".join(host)
    from_browser = request.header("origin") or request.header("sec-fetch-site")
    return not from_browser and (is_loopback(name) or not loopback_only)


def _is_for_registry(request: Request, claim: sigv4.Claim | sigv4.Denial) -> bool:
    """Whether it is for `/v2/`, and no object of a bucket that stands in the host's name."""
    is_there = f"{request.path}/".startswith(REGISTRY_PREFIX)
    return is_there and isinstance(claim, sigv4.Denial) and not sigv2.is_link(request)


def _body_limit(asked: Asked) -> int:
    if asked.service is RUNTIME:
        return INVOCATION_PAYLOAD_BYTES
    return LAYER_PART_PAYLOAD_BYTES if _is_layer_part(asked) else CONTROL_PAYLOAD_BYTES


def _is_layer_part(asked: Asked) -> bool:
    """Whether it is the one operation of the control plane whose bodies are large."""
    target = asked.request.header("x-amz-target") or ""
    return asked.service is ECR and target.endswith(".UploadLayerPart")


async def _parse(operation: Operation, request: Request, content: bytes) -> dict[str, Value]:
    """The input, checked; in a thread what would hold everybody up."""
    if len(content) > CONTROL_PAYLOAD_BYTES and operation.service is ECR:
        params = await asyncio.to_thread(parser.parse, operation, request, content)
    else:
        params = parser.parse(operation, request, content)
    validate(operation, params)
    return params


def _who_refuses(request: Request, claim: sigv4.Claim | sigv4.Denial) -> Service:
    """In whose words a fault is told; on our own paths in those of the runtime, plain JSON."""
    if request.path.startswith(OWN_PREFIX):
        return RUNTIME
    known = None if isinstance(claim, sigv4.Denial) else find_service(claim.service, request)
    return known or guess_service(request)


def _declared_hash(asked: Asked) -> str:
    declared = sigv4.declared_hash(asked.request, asked.claim)
    if declared is None:
        message = "Missing required header for this request: x-amz-content-sha256"
        raise Fault("InvalidRequest", message)
    return declared


def _other_region(asked: str, ours: str) -> Fault:
    message = (
        f"Credential should be scoped to a valid region, not '{asked}'. "
        f"This local SageMaker is in '{ours}'."
    )
    return Fault("InvalidSignatureException", message, status=403)
