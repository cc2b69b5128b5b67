"""The words and the punctuality of each service, where a request is denied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from portside.local.data_folder import Keys
from portside.local.gateway import Gateway
from portside.local.part import Parts
from portside.local.protocol.service import LOGS, RUNTIME, S3, SAGEMAKER, STS, Service
from portside.local.signature.claim import Denial, Reason
from portside.local.signature.denial import deny

KEYS = Keys(access_key_id="PSIDLOCALEXAMPLE1234", secret_access_key="secret")


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("service", [SAGEMAKER, RUNTIME, LOGS, S3, STS])
def test_every_reason_has_a_code_and_a_message(service: Service, reason: Reason):
    fault = deny(service, Denial(reason=reason, detail="what was wrong"))

    assert fault.code
    assert fault.message
    assert fault.status in {400, 403}


@pytest.mark.parametrize(
    ("service", "reason", "code", "status"),
    [
        (SAGEMAKER, Reason.OLD_TOKEN, "ExpiredTokenException", 403),
        (SAGEMAKER, Reason.BAD_TOKEN, "UnrecognizedClientException", 403),
        (STS, Reason.OLD_TOKEN, "ExpiredToken", 403),
        (STS, Reason.BAD_TOKEN, "InvalidClientTokenId", 403),
        (S3, Reason.OLD_TOKEN, "ExpiredToken", 400),
        (S3, Reason.BAD_TOKEN, "InvalidToken", 400),
        (S3, Reason.BAD_QUERY, "AuthorizationQueryParametersError", 400),
        (S3, Reason.INCOMPLETE, "AuthorizationHeaderMalformed", 400),
    ],
)
def test_in_each_services_words(service: Service, reason: Reason, code: str, status: int):
    fault = deny(service, Denial(reason=reason, detail="what was wrong"))

    assert (fault.code, fault.status) == (code, status)


class Late:
    """So many minutes after the requests were signed."""

    def __init__(self, minutes: int) -> None:
        self._after = timedelta(minutes=minutes)

    def now_ms(self) -> int:
        return int((datetime.now(UTC) + self._after).timestamp() * 1000)

    def monotonic(self) -> float:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class NoPlatform:
    """Lets the gateway say 503 to whoever got through."""

    parts: Parts | None = None

    def health(self) -> dict[str, Any]:
        raise NotImplementedError

    def endpoints(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    async def reset(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("signer", "service", "minutes", "status"),
    [
        (SigV4Auth, "sagemaker", 4, 503),
        (SigV4Auth, "sagemaker", 6, 403),
        (SigV4Auth, "logs", -6, 403),
        (SigV4Auth, "sts", 14, 503),
        (SigV4Auth, "sts", 16, 403),
        (S3SigV4Auth, "s3", 14, 503),
        (S3SigV4Auth, "s3", -16, 403),
    ],
)
async def test_each_service_has_its_leeway(
    signer: type[SigV4Auth], service: str, minutes: int, status: int
):
    gateway = Gateway(
        platform=NoPlatform(),
        keys=KEYS,
        account="000000000000",
        region="us-east-1",
        clock=Late(minutes),
    )

    assert await status_of(gateway, signed(signer, service)) == status


def signed(signer: type[SigV4Auth], service: str) -> list[tuple[bytes, bytes]]:
    asked = AWSRequest(method="POST", url="http://127.0.0.1:4566/", data=b"")
    signer(Credentials(KEYS.access_key_id, KEYS.secret_access_key), service, "us-east-1").add_auth(
        asked
    )
    sent = {"host": "127.0.0.1:4566", **dict(asked.headers)}
    target = {"x-amz-target": "SageMaker.ListModels"} if service == "sagemaker" else {}
    return [(name.lower().encode(), value.encode()) for name, value in {**sent, **target}.items()]


async def status_of(gateway: Gateway, headers: list[tuple[bytes, bytes]]) -> int:
    sent: list[dict[str, Any]] = []
    scope = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await gateway(scope, receive, send)
    return int(sent[0]["status"])
