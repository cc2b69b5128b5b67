"""Faults on the wire, as botocore's own parsers read them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.parsers import create_parser

from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Response
from portside.local.protocol.serializer import serialize_fault
from portside.local.protocol.service import (
    IAM,
    LOGS,
    RUNTIME,
    S3,
    SAGEMAKER,
    STS,
    Service,
    service_model,
)
from portside.local.signature.claim import Denial, Reason
from portside.local.signature.denial import deny

ID = "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE"


def read(service: Service, response: Response) -> dict[str, Any]:
    model = service_model(service.name)
    content = {
        "status_code": response.status,
        "headers": {name.lower(): value for name, value in response.headers},
        "body": response.body,
    }
    parsed = create_parser(service.wire).parse(content, None)
    assert isinstance(parsed, dict)
    assert model is not None
    return parsed


@pytest.mark.parametrize("service", [SAGEMAKER, RUNTIME, LOGS, S3, IAM, STS])
def test_code_and_message_reach_the_client(service: Service) -> None:
    fault = Fault("SomeException", 'not <this> & "that"', status=409)

    answer = read(service, serialize_fault(service, fault, request_id=ID))

    assert answer["Error"]["Code"] == "SomeException"
    assert answer["Error"]["Message"] == 'not <this> & "that"'
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 409


def test_a_control_plane_error_on_the_wire() -> None:
    fault = Fault("ValidationException", 'Could not find endpoint "arn".')

    response = serialize_fault(SAGEMAKER, fault, request_id=ID)

    assert response.status == 400
    assert response.body == (
        b'{"__type":"ValidationException","message":"Could not find endpoint \\"arn\\"."}'
    )


def test_an_error_shape_with_a_member_of_its_own_spelling() -> None:
    response = serialize_fault(SAGEMAKER, Fault("ResourceInUse", "in use"), request_id=ID)

    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {"__type": "ResourceInUse", "Message": "in use"}


def test_a_model_error_on_the_wire() -> None:
    fields = {"OriginalStatusCode": 500, "OriginalMessage": "boom", "LogStreamArn": "arn"}
    fault = Fault("ModelError", "Received server error", status=424, fields=fields)

    response = serialize_fault(RUNTIME, fault, request_id=ID)

    assert response.status == 424
    assert dict(response.headers)["x-amzn-ErrorType"] == "ModelError"
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {"Message": "Received server error", **fields}


def test_throttling_has_no_message() -> None:
    response = serialize_fault(RUNTIME, Fault("ThrottlingException", None), request_id=ID)

    assert response.body == b'{"message":null}'


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("service", [SAGEMAKER, RUNTIME, LOGS, S3, IAM, STS])
def test_every_denial_has_words_in_every_protocol(service: Service, reason: Reason) -> None:
    fault = deny(service, Denial(reason=reason, detail="because"))

    assert fault.status in {400, 403}
    assert fault.code
    assert fault.message


@pytest.mark.parametrize(
    ("service", "reason", "code"),
    [
        (SAGEMAKER, Reason.MISSING, "MissingAuthenticationTokenException"),
        (RUNTIME, Reason.UNKNOWN_KEY, "UnrecognizedClientException"),
        (LOGS, Reason.MISMATCH, "InvalidSignatureException"),
        (SAGEMAKER, Reason.INCOMPLETE, "IncompleteSignatureException"),
        (S3, Reason.MISSING, "AccessDenied"),
        (S3, Reason.UNKNOWN_KEY, "InvalidAccessKeyId"),
        (S3, Reason.MISMATCH, "SignatureDoesNotMatch"),
        (S3, Reason.LATE, "RequestTimeTooSkewed"),
        (IAM, Reason.UNKNOWN_KEY, "InvalidClientTokenId"),
        (STS, Reason.MISMATCH, "SignatureDoesNotMatch"),
    ],
)
def test_the_codes_of_denials(service: Service, reason: Reason, code: str) -> None:
    assert deny(service, Denial(reason=reason)).code == code
