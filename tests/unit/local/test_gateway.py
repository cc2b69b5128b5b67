"""The request path with fakes behind it: who is let through, to whom, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from portside.contract import REALTIME_PAYLOAD_BYTES
from portside.local.asgi import Body
from portside.local.data_folder import Keys
from portside.local.gateway import (
    CONTROL_PAYLOAD_BYTES,
    INVOCATION_PAYLOAD_BYTES,
    LAYER_PART_PAYLOAD_BYTES,
    Gateway,
)
from portside.local.part import Parts
from portside.local.protocol.call import Call
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request, Response
from portside.local.signature.sigv4 import Seed
from portside.local.state.database import StateFileError
from tests.unit.local.state_fakes import eventually

KEYS = Keys(access_key_id="PSIDLOCALEXAMPLE1234", secret_access_key="secret")
HOST = "127.0.0.1:4566"


class Objects:
    """Answers with what it was sent, in two pieces."""

    async def forward(
        self, request: Request, body: AsyncIterator[bytes], *, body_hash: str, seed: Seed | None
    ) -> Response:
        content = b"".join([piece async for piece in body])

        async def pieces() -> AsyncIterator[bytes]:
            yield request.path.encode()
            yield content

        return Response(status=200, body=pieces())


class Delegated:
    """Answers with the name of the service."""

    async def answer(self, service: str, request: Request, body: bytes) -> Response:
        return Response(status=200, body=service.encode() + body)


class Services:
    """Two operations: one echoes its call, one has a bug."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.content_type = "text/plain"
        self.failure: Exception = RuntimeError("a bug")
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.given_up = 0
        self.sizes: list[int] = []

    async def describe(self, call: Call) -> dict[str, Any]:
        self.calls.append(call)
        if call.params["EndpointName"] == "missing":
            raise Fault("ValidationException", "Could not find endpoint.")
        return {"EndpointName": call.params["EndpointName"]}

    async def invoke(self, call: Call) -> dict[str, Any]:
        self.calls.append(call)
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return {"Body": call.params["Body"], "ContentType": self.content_type}

    async def upload(self, call: Call) -> dict[str, Any]:
        self.sizes.append(len(call.params["layerPartBlob"]))
        return {"lastByteReceived": self.sizes[-1] - 1}

    async def fail(self, call: Call) -> dict[str, Any]:
        raise self.failure


class Registry:
    """Answers with what was asked."""

    async def answer(self, request: Request, body: Body) -> Response:
        return Response(status=200, body=f"{request.method} {request.path}".encode())


class Platform:
    """The parts, or none of them."""

    def __init__(self) -> None:
        self.services = Services()
        self.resets = 0
        self.parts: Parts | None = Parts(
            objects=Objects(),
            delegated=Delegated(),
            registry=Registry(),
            operations={
                "ecr": {
                    "UploadLayerPart": self.services.upload,
                    "InitiateLayerUpload": self.services.upload,
                },
                "sagemaker": {
                    "DescribeEndpoint": self.services.describe,
                    "ListEndpoints": self.services.fail,
                },
                "sagemaker-runtime": {"InvokeEndpoint": self.services.invoke},
            },
        )

    def health(self) -> dict[str, Any]:
        return {"status": "running"}

    def endpoints(self) -> list[dict[str, Any]]:
        return [{"name": "ner"}]

    async def reset(self) -> None:
        self.resets += 1


class SystemTime:
    """botocore signs with the system's time, so it is checked with it."""

    def now_ms(self) -> int:
        return int(datetime.now(UTC).timestamp() * 1000)

    def monotonic(self) -> float:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Answer:
    """What a client would see."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        self.status: int = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        self.body = b"".join(message["body"] for message in sent[1:])

    @property
    def json(self) -> dict[str, Any]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def gateway(platform: Platform) -> Gateway:
    return Gateway(
        platform=platform,
        keys=KEYS,
        account="000000000000",
        region="us-east-1",
        clock=SystemTime(),
    )


async def ask(
    gateway: Gateway,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    body: tuple[bytes, ...] = (b"",),
    hangs_up: asyncio.Event | None = None,
) -> Answer:
    """One request, its body in pieces; without an event its sender hangs up as soon as he may."""
    parts = urlsplit(path)
    scope = {
        "type": "http",
        "method": method,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [
            (name.lower().encode(), value.encode())
            for name, value in {"Host": HOST, **(headers or {})}.items()
        ],
    }
    waiting = [
        {"type": "http.request", "body": piece, "more_body": number < len(body)}
        for number, piece in enumerate(body, start=1)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        if not waiting and hangs_up is not None:
            await hangs_up.wait()
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await gateway(scope, receive, send)
    return Answer(sent)


async def ask_signed(
    gateway: Gateway,
    service: str,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    body: tuple[bytes, ...] = (b"",),
    region: str = "us-east-1",
    keys: Keys = KEYS,
    hangs_up: asyncio.Event | None = None,
) -> Answer:
    """One request, signed by botocore."""
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    request = AWSRequest(
        method=method, url=f"http://{HOST}{path}", headers=headers, data=b"".join(body)
    )
    signer(Credentials(keys.access_key_id, keys.secret_access_key), service, region).add_auth(
        request
    )
    headers = dict(request.headers.items())
    return await ask(gateway, method, path, headers, body=body, hangs_up=hangs_up)


def target(operation: str) -> dict[str, str]:
    return {"X-Amz-Target": f"SageMaker.{operation}"}


async def test_an_operation_is_answered(gateway: Gateway, platform: Platform) -> None:
    answer = await ask_signed(
        gateway,
        "sagemaker",
        headers=target("DescribeEndpoint"),
        body=(b'{"Endpoint', b'Name":"n"}'),
    )

    assert (answer.status, answer.json) == (200, {"EndpointName": "n"})
    (call,) = platform.services.calls
    assert answer.headers["x-amzn-requestid"] == call.request_id
    assert (call.service, call.operation) == ("sagemaker", "DescribeEndpoint")
    assert (call.account, call.region) == ("000000000000", "us-east-1")


async def test_an_invocation_passes_bytes_through(gateway: Gateway, platform: Platform) -> None:
    answer = await ask_signed(
        gateway,
        "sagemaker",
        "/endpoints/ner/invocations",
        {"Content-Type": "text/plain"},
        body=(b"\x00\xff",),
    )

    assert (answer.status, answer.body) == (200, b"\x00\xff")
    assert answer.headers["content-type"] == "text/plain"
    assert platform.services.calls[0].params == {
        "EndpointName": "ner",
        "ContentType": "text/plain",
        "Body": b"\x00\xff",
    }


async def test_a_header_that_http_cannot_carry_is_a_bug(
    gateway: Gateway, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.services.content_type = "text/\N{SNOWMAN}"

    answer = await ask_signed(gateway, "sagemaker", "/endpoints/ner/invocations", body=(b"x",))

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (500, "InternalFailure")
    (record,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert answer.headers["x-amzn-requestid"] in record.getMessage()


@pytest.mark.parametrize(
    ("size", "status"),
    [(REALTIME_PAYLOAD_BYTES + 1, 200), (INVOCATION_PAYLOAD_BYTES + 1, 413)],
)
async def test_the_limit_of_an_invocation_is_the_services_to_tell(
    gateway: Gateway, size: int, status: int
) -> None:
    body = (b"a" * size,)

    answer = await ask_signed(gateway, "sagemaker", "/endpoints/ner/invocations", body=body)

    assert answer.status == status


async def test_s3_is_streamed_both_ways(gateway: Gateway) -> None:
    answer = await ask_signed(gateway, "s3", "/b/a%20b", method="PUT", body=(b"con", b"tent"))

    assert (answer.status, answer.body) == (200, b"/b/a%20bcontent")


async def test_a_body_of_s3_that_is_not_what_was_signed(gateway: Gateway) -> None:
    request = AWSRequest(method="PUT", url=f"http://{HOST}/b/k", data=b"content")
    credentials = Credentials(KEYS.access_key_id, KEYS.secret_access_key)
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(b"content").hexdigest()

    answer = await ask(gateway, "PUT", "/b/k", dict(request.headers.items()), body=(b"changed",))

    assert answer.status == 400
    assert b"XAmzContentSHA256Mismatch" in answer.body


@pytest.mark.parametrize("service", ["iam", "sts"])
async def test_iam_and_sts_are_delegated(gateway: Gateway, service: str) -> None:
    answer = await ask_signed(gateway, service, body=(b"Action=X",))

    assert answer.body == service.encode() + b"Action=X"


async def test_a_fault_of_a_handler_is_the_answer(gateway: Gateway) -> None:
    answer = await ask_signed(
        gateway,
        "sagemaker",
        headers=target("DescribeEndpoint"),
        body=(b'{"EndpointName":"missing"}',),
    )

    assert answer.status == 400
    assert answer.json == {"__type": "ValidationException", "message": "Could not find endpoint."}


async def test_an_invocation_is_given_up_when_its_caller_hangs_up(
    gateway: Gateway, platform: Platform
) -> None:
    platform.services.may_answer.clear()
    hangs_up = asyncio.Event()
    path = "/endpoints/ner/invocations"
    asking = asyncio.create_task(
        ask_signed(gateway, "sagemaker", path, body=(b"in",), hangs_up=hangs_up)
    )
    await eventually(lambda: bool(platform.services.calls))
    assert not asking.done()

    hangs_up.set()

    with pytest.raises(IndexError):  # nothing was sent
        await asking
    assert platform.services.given_up == 1


async def test_a_full_disk_is_no_bug_and_can_be_tried_again(
    gateway: Gateway, platform: Platform
) -> None:
    error = StateFileError("could not write to the state file: full", hint="Make room.")
    platform.services.failure = error

    answer = await ask_signed(gateway, "sagemaker", headers=target("ListEndpoints"), body=(b"{}",))

    assert (answer.status, answer.json["__type"]) == (503, "ServiceUnavailable")
    assert answer.json["message"] == (
        "The local SageMaker could not write to the state file: full. Make room."
    )


async def test_a_bug_is_an_internal_failure_and_its_traceback_is_logged(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask_signed(gateway, "sagemaker", headers=target("ListEndpoints"), body=(b"{}",))

    assert (answer.status, answer.json["__type"]) == (500, "InternalFailure")
    assert "a bug" not in answer.json["message"]
    (record,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert answer.headers["x-amzn-requestid"] in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize(
    ("operation", "body", "status", "code"),
    [
        ("DescribeEndpoint", b"{", 400, "SerializationException"),
        ("DescribeEndpoint", b"{}", 400, "ValidationException"),
        ("DescribeModel", b"{}", 501, "NotImplementedException"),
        ("InventModel", b"{}", 404, "UnknownOperationException"),
        ("DescribeEndpoint", b" " * (CONTROL_PAYLOAD_BYTES + 1), 413,
         "RequestEntityTooLargeException"),
    ],
)  # fmt: skip
async def test_what_cannot_be_served(
    gateway: Gateway, operation: str, body: bytes, status: int, code: str
) -> None:
    answer = await ask_signed(gateway, "sagemaker", headers=target(operation), body=(body,))

    assert (answer.status, answer.json["__type"]) == (status, code)


async def test_another_region_is_named(gateway: Gateway) -> None:
    answer = await ask_signed(
        gateway, "sagemaker", headers=target("DescribeEndpoint"), region="eu-west-1"
    )

    assert answer.status == 403
    assert "'eu-west-1'" in answer.json["message"]
    assert "'us-east-1'" in answer.json["message"]


async def test_an_unknown_service_is_named(gateway: Gateway) -> None:
    answer = await ask_signed(gateway, "dynamodb", headers={"X-Amz-Target": "DynamoDB.ListTables"})

    assert answer.status == 501
    assert "`dynamodb` is not built" in answer.json["message"]


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/", target("DescribeEndpoint"), b"MissingAuthenticationTokenException"),
        ("/endpoints/ner/invocations", {}, b"Missing Authentication Token"),
        ("/", {"Content-Type": "application/x-www-form-urlencoded"}, b"MissingAuthenticationToken"),
        ("/bucket/key", {}, b"AccessDenied"),
    ],
)
async def test_who_does_not_sign_is_denied_in_the_words_of_the_service(
    gateway: Gateway, platform: Platform, path: str, headers: dict[str, str], code: bytes
) -> None:
    answer = await ask(gateway, "POST", path, headers)

    assert answer.status == 403
    assert code in answer.body
    assert platform.services.calls == []


async def test_a_client_that_goes_away_is_not_answered(gateway: Gateway) -> None:
    request = AWSRequest(method="POST", url=f"http://{HOST}/", headers=target("DescribeEndpoint"))
    credentials = Credentials(KEYS.access_key_id, KEYS.secret_access_key)
    SigV4Auth(credentials, "sagemaker", "us-east-1").add_auth(request)

    with pytest.raises(IndexError):  # nothing was sent
        await ask(gateway, "POST", "/", dict(request.headers.items()), body=())


async def test_while_it_is_emptied_it_is_unavailable(gateway: Gateway, platform: Platform) -> None:
    platform.parts = None

    answer = await ask_signed(gateway, "s3", "/b/k", method="GET")

    assert answer.status == 503


# --- Its own paths -----------------------------------------------------------


async def test_health_needs_no_signature(gateway: Gateway) -> None:
    answer = await ask(gateway, "GET", "/_portside/health")

    assert (answer.status, answer.json) == (200, {"status": "running"})


@pytest.mark.parametrize("host", ["localhost:4566", "127.0.0.1", "[::1]:4566", "[::1]"])
async def test_reset_is_for_programs_of_this_machine_that_sign(
    gateway: Gateway, platform: Platform, host: str
) -> None:
    answer = await ask_signed(gateway, "sagemaker", "/_portside/reset", {"Host": host})

    assert (answer.status, answer.json) == (200, {"status": "empty"})
    assert platform.resets == 1


async def test_who_does_not_sign_cannot_reset(gateway: Gateway, platform: Platform) -> None:
    answer = await ask(gateway, "POST", "/_portside/reset")

    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert platform.resets == 0


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (dataclasses.replace(KEYS, secret_access_key="wrong"), "InvalidSignatureException"),
        (dataclasses.replace(KEYS, access_key_id="AKIAEXAMPLE"), "UnrecognizedClientException"),
    ],
)
async def test_who_has_not_the_keys_cannot_reset(
    gateway: Gateway, platform: Platform, keys: Keys, code: str
) -> None:
    answer = await ask_signed(gateway, "sagemaker", "/_portside/reset", keys=keys)

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, code)
    assert platform.resets == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:4566"},
        {"Host": "localhost.evil.example"},
        {"Host": ""},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_reset_is_not_for_web_pages(
    gateway: Gateway, platform: Platform, headers: dict[str, str]
) -> None:
    answer = await ask_signed(gateway, "sagemaker", "/_portside/reset", headers)

    assert (answer.status, list(answer.json)) == (403, ["error"])
    assert platform.resets == 0


async def test_what_runs_is_told_to_those_who_sign(gateway: Gateway) -> None:
    refused = await ask(gateway, "GET", "/_portside/endpoints")
    answer = await ask_signed(gateway, "sagemaker", "/_portside/endpoints", method="GET")

    assert refused.status == 403
    assert (answer.status, answer.json) == (200, {"endpoints": [{"name": "ner"}]})


async def test_reset_is_not_a_get(gateway: Gateway, platform: Platform) -> None:
    assert (await ask(gateway, "GET", "/_portside/reset")).status == 404
    assert platform.resets == 0


# --- The registry ------------------------------------------------------------


def part(size: int) -> bytes:
    blob = base64.b64encode(bytes(size)).decode()
    upload = "00000000-0000-0000-0000-000000000000"
    names = {"repositoryName": "app", "uploadId": upload, "partFirstByte": 0, "partLastByte": 0}
    return json.dumps(names | {"layerPartBlob": blob}).encode()


def ecr_target(operation: str) -> dict[str, str]:
    return {"X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}"}


async def test_a_part_of_a_layer_may_be_large_and_nothing_else_of_ecr(
    gateway: Gateway, platform: Platform
) -> None:
    body = part(20 * 1024 * 1024)
    assert len(body) <= LAYER_PART_PAYLOAD_BYTES
    answer = await ask_signed(gateway, "ecr", headers=ecr_target("UploadLayerPart"), body=(body,))
    assert (answer.status, platform.services.sizes) == (200, [20 * 1024 * 1024])

    for operation, sent in (
        ("UploadLayerPart", body + b" " * (LAYER_PART_PAYLOAD_BYTES - len(body) + 1)),
        ("InitiateLayerUpload", b" " * (CONTROL_PAYLOAD_BYTES + 1)),
    ):
        answer = await ask_signed(gateway, "ecr", headers=ecr_target(operation), body=(sent,))
        assert (answer.status, answer.json["__type"]) == (413, "RequestEntityTooLargeException")


async def test_a_part_of_somebody_without_keys_is_not_kept_to_be_parsed(
    gateway: Gateway, platform: Platform
) -> None:
    strange = Keys(access_key_id="PSIDLOCALSOMEBODY123", secret_access_key="secret")
    sent = (part(10), b"more")
    answer = await ask_signed(
        gateway, "ecr", headers=ecr_target("UploadLayerPart"), body=sent, keys=strange
    )
    assert (answer.status, answer.json["__type"]) == (403, "UnrecognizedClientException")
    assert platform.services.sizes == []


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/app/manifests/1"])
async def test_the_registry_asks_for_passwords_itself(gateway: Gateway, path: str) -> None:
    answer = await ask(gateway, "GET", path, {"Host": HOST, "Authorization": "Basic QVdTOng="})
    assert (answer.status, answer.body) == (200, f"GET {path}".encode())


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": HOST, "Origin": "https://example.com"},
        {"Host": HOST, "Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example.com:4566"},
    ],
)
async def test_the_registry_is_not_for_web_pages(gateway: Gateway, headers: dict[str, str]) -> None:
    assert (await ask(gateway, "GET", "/v2/", headers)).status == 403


async def test_an_object_under_v2_of_a_bucket_in_the_host_is_no_image(gateway: Gateway) -> None:
    hashed = {"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}
    answer = await ask_signed(gateway, "s3", "/v2/key", hashed, method="GET")
    assert answer.body == b"/v2/key"
