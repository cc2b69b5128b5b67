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

A few paths are Portside's own (`own_path`). Who answers behind the gateway stands in `part`.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import TYPE_CHECKING, Final, Protocol

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
from portside.local.listener import is_from_program
from portside.local.own_path import OWN_PREFIX, Owner, OwnPaths, json_response
from portside.local.part import Parts
from portside.local.protocol import parser, serializer
from portside.local.protocol.call import Call, Value
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
from portside.local.signature.claim import Claim, Denial, read_claim
from portside.local.signature.denial import deny
from portside.local.signature.key_ring import KeyRing
from portside.local.signature.proof import Asked, Prover, declared_hash
from portside.local.state.database import StateFileError

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

REGISTRY_PREFIX: Final = "/v2/"
"""The OCI distribution specification's; no bucket has a name as short."""

_NOT_A_PROGRAM: Final = "requests of web pages and for other hosts are refused"

_log = logging.getLogger(__name__)


class Platform(Owner, Protocol):
    """Who owns the parts, and hands them out."""

    @property
    def parts(self) -> Parts | None:
        """The parts; None while they are not there."""
        ...


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
        self._prover = Prover(self._keys, clock=clock)
        self._own_paths = OwnPaths(platform, prove=self._read_proved)
        self._account = account
        self._region = region
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
        claim = read_claim(request)
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
        self, request: Request, claim: Claim | Denial, body: Body, *, request_id: str
    ) -> Response:
        if request.path.startswith(OWN_PREFIX):
            return await self._answer_own(request, body, claim=claim, request_id=request_id)
        if _is_for_registry(request, claim):
            return await self._answer_registry(request, body)
        if sigv2.is_link(request):
            return await self._answer_link(request, body)
        if isinstance(claim, Denial):
            raise deny(_who_refuses(request, claim), claim)
        service = find_service(claim.service, request)
        if service is None:
            raise not_built(f"The service `{claim.service}`")
        asked = Asked(request=request, request_id=request_id, claim=claim, service=service)
        if not _is_layer_part(asked):
            return await self._answer_signed(asked, body)
        await self._prover.check_key(asked, body)
        async with self._one_layer_part:
            return await self._answer_signed(asked, body)

    async def _answer_own(
        self, request: Request, body: Body, *, claim: Claim | Denial, request_id: str
    ) -> Response:
        if not is_from_program(request, loopback_only=self._loopback_only):
            return json_response(403, {"error": _NOT_A_PROGRAM})
        return await self._own_paths.answer(request, body, claim=claim, request_id=request_id)

    async def _answer_registry(self, request: Request, body: Body) -> Response:
        if not is_from_program(request, loopback_only=self._loopback_only):
            return json_response(403, {"errors": [{"code": "DENIED", "message": _NOT_A_PROGRAM}]})
        return await self._parts().registry.answer(request, body)

    async def _answer_link(self, request: Request, body: Body) -> Response:
        self._prover.prove_link(request)
        return await self._parts().objects.forward(
            request, aiter(body), body_hash=sigv4.UNSIGNED_PAYLOAD, seed=None
        )

    async def _answer_signed(self, asked: Asked, body: Body) -> Response:
        if asked.service is S3:
            declared = declared_hash(asked)
            seed = self._prover.prove(asked, body_hash=declared).seed
            return await self._parts().objects.forward(
                asked.request, body.checked(declared), body_hash=declared, seed=seed
            )
        caller, content = await self._read_proved(asked, body)
        if asked.service in DELEGATED:
            if asked.service not in GLOBAL:
                self._check_region(asked)
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
        self._check_region(asked)
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

    async def _read_proved(self, asked: Asked, body: Body) -> tuple[sigv4.Caller, bytes]:
        content = await body.read(limit=_body_limit(asked))
        return self._prover.prove(asked, body_hash=body.sha256), content

    def _check_region(self, asked: Asked) -> None:
        if asked.claim.region != self._region:
            raise _other_region(asked.claim.region, self._region)

    def _parts(self) -> Parts:
        parts = self._platform.parts
        if parts is None:
            raise unavailable("The local SageMaker is being emptied. Try again in a moment.")
        return parts


# --- Rules and refusals ------------------------------------------------------


def _is_for_registry(request: Request, claim: Claim | Denial) -> bool:
    """Whether it is for `/v2/`, and no object of a bucket that stands in the host's name."""
    is_there = f"{request.path}/".startswith(REGISTRY_PREFIX)
    return is_there and isinstance(claim, Denial) and not sigv2.is_link(request)


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


def _who_refuses(request: Request, claim: Claim | Denial) -> Service:
    """In whose words a fault is told; on our own paths in those of the runtime, plain JSON."""
    if request.path.startswith(OWN_PREFIX):
        return RUNTIME
    known = None if isinstance(claim, Denial) else find_service(claim.service, request)
    return known or guess_service(request)


def _other_region(asked: str, ours: str) -> Fault:
    message = (
        f"Credential should be scoped to a valid region, not '{asked}'. "
        f"This local SageMaker is in '{ours}'."
    )
    return Fault("InvalidSignatureException", message, status=403)
