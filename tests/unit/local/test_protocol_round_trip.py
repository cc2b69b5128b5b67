"""botocore's own serializer and parser at the other end: what they write is read, and back."""

from __future__ import annotations

import io
import json
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.local.protocol import parser, serializer
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request, Response
from portside.local.protocol.service import (
    LOGS,
    RUNTIME,
    S3,
    SAGEMAKER,
    STS,
    Operation,
    Service,
    find_operation,
    find_service,
    service_model,
)
from portside.local.protocol.validate import validate

SERVED = [
    *((SAGEMAKER, f"{verb}{kind}") for verb in ("Create", "Describe", "Delete")
      for kind in ("Model", "EndpointConfig", "Endpoint")),
    *((SAGEMAKER, name) for name in (
        "ListModels", "ListEndpointConfigs", "ListEndpoints", "UpdateEndpoint",
        "AddTags", "ListTags", "DeleteTags",
    )),
    (RUNTIME, "InvokeEndpoint"),
    *((LOGS, name) for name in (
        "DescribeLogGroups", "DescribeLogStreams", "GetLogEvents", "FilterLogEvents",
    )),
]  # fmt: skip
served = pytest.mark.parametrize(
    ("service", "name"), SERVED, ids=[f"{service.name}:{name}" for service, name in SERVED]
)
quick = settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)

plain = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=8)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001  one below
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)


def values(shape: Shape, *, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a shape, regardless of its constraints; deep structures get sparse."""
    match shape:
        case StructureShape():
            members = {} if depth > 2 else shape.members
            required = {
                name: values(shape.members[name], depth=depth + 1)
                for name in shape.required_members
            }
            optional = {
                name: values(member, depth=depth + 1)
                for name, member in members.items()
                if name not in required
            }
            if getattr(shape, "is_tagged_union", False) and optional:
                return st.sampled_from(sorted(optional)).flatmap(
                    lambda name: optional[name].map(lambda value: {name: value})
                )
            return st.fixed_dictionaries(required, optional=optional)
        case ListShape():
            return st.lists(values(shape.member, depth=depth + 1), max_size=2)
        case MapShape():
            return st.dictionaries(plain, values(shape.value, depth=depth + 1), max_size=2)
    in_head = shape.serialization.get("location") is not None
    return {
        "string": plain if in_head else st.text(max_size=8),
        "integer": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(allow_nan=False, allow_infinity=False, width=32),
        "double": st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "timestamp": moments,
        "blob": st.binary(max_size=16),
    }[shape.type_name]


def operation(service: Service, name: str) -> Operation:
    return Operation(
        service=service, model=service_model(service.name).operation_model(name), labels={}
    )


def written(service: Service, name: str, params: dict[str, Any]) -> tuple[Request, bytes]:
    """A request as boto3 would send it."""
    model = service_model(service.name)
    sent = create_serializer(service.wire, include_validation=False).serialize_to_request(
        params, model.operation_model(name)
    )
    body = sent["body"]
    request = Request(
        method=sent["method"],
        path=sent["url_path"],
        query="",
        headers=tuple((key.lower(), str(value)) for key, value in sent["headers"].items()),
    )
    return request, body if isinstance(body, bytes) else str(body).encode()


def read(service: Service, name: str, response: Response) -> Any:
    """What boto3 would make of an answer."""
    model = service_model(service.name).operation_model(name)
    assert isinstance(response.body, bytes)
    content = {
        "status_code": response.status,
        "headers": HeadersDict(dict(response.headers)),
        "body": io.BytesIO(response.body) if model.has_streaming_output else response.body,
    }
    return create_parser(service.wire).parse(content, model.output_shape)


@served
@quick
@given(data=st.data())
def test_an_input_is_read_as_botocore_wrote_it(
    service: Service, name: str, data: st.DataObject
) -> None:
    shape = operation(service, name).model.input_shape
    assert shape is not None
    params = data.draw(values(shape))

    request, body = written(service, name, params)
    found = find_operation(service, request)

    assert found.name == name
    assert parser.parse(found, request, body) == params


@served
@quick
@given(data=st.data())
def test_botocore_reads_an_output_as_it_was(
    service: Service, name: str, data: st.DataObject
) -> None:
    asked = operation(service, name)
    shape = asked.model.output_shape
    output = {} if shape is None else data.draw(values(shape))

    answer = read(service, name, serializer.serialize(asked, output))

    del answer["ResponseMetadata"]
    if asked.model.has_streaming_output:
        answer["Body"], output = answer["Body"].read(), {"Body": b"", **output}
    assert answer == output


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def damaged(shape: Shape) -> st.SearchStrategy[Any]:
    """An input in which any part may be replaced by anything."""
    if not isinstance(shape, StructureShape):
        return ANYTHING | values(shape)
    members = {name: damaged(member) for name, member in shape.members.items()}
    return ANYTHING | st.fixed_dictionaries({}, optional=members)


@served
@quick
@given(data=st.data())
def test_whatever_is_wrong_with_an_input_it_is_a_fault_of_400(
    service: Service, name: str, data: st.DataObject
) -> None:
    asked = operation(service, name)
    assert asked.model.input_shape is not None
    params = data.draw(damaged(asked.model.input_shape))
    body = data.draw(
        st.binary(max_size=8) | st.just(json.dumps(params, default=str).encode(errors="replace"))
    )
    request = Request(method="POST", path="/", query="", headers=())

    fault = refusal(asked, request, body)

    if fault is not None:
        assert fault.status == 400
        assert fault.code in {"SerializationException", service.invalid_code}


def refusal(asked: Operation, request: Request, body: bytes) -> Fault | None:
    try:
        validate(asked, parser.parse(asked, request, body))
    except Fault as fault:
        return fault
    return None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"MaxResults": NaN}', "is not JSON"),
        (b"[]", "Unexpected field type"),
        (b"null", "Unexpected field type"),
        (b'{"MaxResults": "7"}', "STRING_VALUE can not be converted to Integer"),
        (b'{"MaxResults": true}', "TRUE_VALUE can not be converted to Integer"),
        (b'{"MaxResults": 1.5}', "NUMBER_VALUE can not be converted to Integer"),
        (b'{"MaxResults": 2147483648}', "out of range"),
        (b'{"NameContains": 7}', "NUMBER_VALUE can not be converted to String"),
        (b'{"NameContains": "\\ud800"}', "A lone surrogate can not be converted to String"),
        (b'{"CreationTimeAfter": "now"}', "STRING_VALUE can not be converted to Date"),
        (b'{"CreationTimeAfter": 1e30}', "out of range"),
        (b'{"CreationTimeAfter": 1e999}', "out of range"),
    ],
)
def test_what_cannot_be_read_is_said(body: bytes, reason: str) -> None:
    request = Request(method="POST", path="/", query="", headers=())

    with pytest.raises(Fault, match=reason) as caught:
        parser.parse(operation(SAGEMAKER, "ListEndpoints"), request, body)

    assert caught.value.code == "SerializationException"


def test_nulls_and_unknown_members_are_dropped() -> None:
    request = Request(method="POST", path="/", query="", headers=())
    body = b'{"NameContains": null, "Invented": 1, "MaxResults": 5}'

    assert parser.parse(operation(SAGEMAKER, "ListModels"), request, body) == {"MaxResults": 5}


def test_an_output_that_the_model_does_not_have_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        serializer.serialize(operation(SAGEMAKER, "DescribeModel"), {"Invented": 1})


def test_an_operation_without_output_answers_nothing() -> None:
    assert serializer.serialize(operation(SAGEMAKER, "DeleteEndpoint"), {}).body == b""


# --- Finding the operation ---------------------------------------------------


def asked_for(target: str | None = None, path: str = "/", method: str = "POST") -> Request:
    headers = () if target is None else (("x-amz-target", target),)
    return Request(method=method, path=path, query="", headers=headers)


@pytest.mark.parametrize(
    ("signing_name", "request_", "service"),
    [
        ("sagemaker", asked_for("SageMaker.ListModels"), SAGEMAKER),
        ("sagemaker", asked_for(path="/endpoints/ner/invocations"), RUNTIME),
        ("logs", asked_for("Logs_20140328.GetLogEvents"), LOGS),
        ("s3", asked_for(path="/bucket/key"), S3),
        ("sts", asked_for(), STS),
        ("dynamodb", asked_for("DynamoDB_20120810.ListTables"), None),
    ],
)
def test_the_service_behind_a_signing_name(
    signing_name: str, request_: Request, service: Service | None
) -> None:
    assert find_service(signing_name, request_) == service


@pytest.mark.parametrize(
    ("service", "request_"),
    [
        (SAGEMAKER, asked_for("SageMaker.InventModel")),
        (SAGEMAKER, asked_for("Other.ListModels")),
        (SAGEMAKER, asked_for("ListModels")),
        (RUNTIME, asked_for(path="/endpoints/ner")),
        (RUNTIME, asked_for(path="/endpoints/ner/invocations", method="GET")),
        (RUNTIME, asked_for(path="/endpoints/a/b/invocations")),
    ],
)
def test_an_operation_that_aws_does_not_have(service: Service, request_: Request) -> None:
    with pytest.raises(Fault) as caught:
        find_operation(service, request_)

    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", 404)


def test_a_path_is_decoded_into_its_labels() -> None:
    found = find_operation(RUNTIME, asked_for(path="/endpoints/a%20b/invocations"))

    assert found.labels == {"EndpointName": "a b"}
