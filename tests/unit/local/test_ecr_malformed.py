"""Whatever is asked of the registry, the answer is ECR's: an output or a fault of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.local.protocol import parser, serializer
from portside.local.protocol.call import Call
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request
from portside.local.protocol.service import ECR, find_operation, service_model
from portside.local.protocol.validate import validate
from tests.unit.local.ecr_fakes import Ecr, open_ecr
from tests.unit.local.malformed import requests
from tests.unit.local.state_fakes import ACCOUNT, REGION, FakeClock

OPERATIONS: Final = (
    "BatchCheckLayerAvailability",
    "BatchDeleteImage",
    "BatchGetImage",
    "CompleteLayerUpload",
    "CreateRepository",
    "DeleteLifecyclePolicy",
    "DeleteRepository",
    "DeleteRepositoryPolicy",
    "DescribeImages",
    "DescribeRepositories",
    "GetAuthorizationToken",
    "GetDownloadUrlForLayer",
    "GetLifecyclePolicy",
    "GetRepositoryPolicy",
    "InitiateLayerUpload",
    "ListImages",
    "ListTagsForResource",
    "PutImage",
    "PutImageScanningConfiguration",
    "PutImageTagMutability",
    "PutLifecyclePolicy",
    "SetRepositoryPolicy",
    "TagResource",
    "UntagResource",
    "UploadLayerPart",
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def documents(name: str) -> st.SearchStrategy[Any]:
    return requests(service_model("ecr").operation_model(name).input_shape)


def known_codes(name: str) -> set[str]:
    modeled = {shape.name for shape in service_model("ecr").operation_model(name).error_shapes}
    return modeled | {"SerializationException", "NotImplementedException", ""}


async def respond(ecr: Ecr, name: str, body: bytes) -> str:
    """The way of a request behind the signature; the code of its fault, or nothing."""
    target = f"AmazonEC2ContainerRegistry_V20150921.{name}"
    request = Request(method="POST", path="/", query="", headers=(("x-amz-target", target),))
    operation = find_operation(ECR, request)
    try:
        params = parser.parse(operation, request, body)
        validate(operation, params)
        asked = Call(
            service="ecr",
            operation=name,
            params=params,
            account=ACCOUNT,
            region=REGION,
            request_id="r",
        )
        serializer.serialize(operation, await ecr.registry.operations[name](asked))
    except Fault as fault:
        serializer.serialize_fault(ECR, fault, request_id="r")
        return fault.code
    return ""


@pytest.fixture(scope="module")
def ecr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ecr]:
    opened = open_ecr(tmp_path_factory.mktemp("ecr"), FakeClock())
    yield opened
    opened.registry.close()


async def refill(ecr: Ecr) -> None:
    """One repository with one image, whatever was there before."""
    for one in (await ecr("DescribeRepositories", maxResults=1000))["repositories"]:
        await ecr("DeleteRepository", repositoryName=one["repositoryName"], force=True)
    await ecr("CreateRepository", repositoryName="app")
    await ecr.push_image(b"layer")


def test_all_that_is_built_is_tried(ecr: Ecr) -> None:
    assert set(OPERATIONS) == set(ecr.registry.operations)


@pytest.mark.parametrize("name", OPERATIONS)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_request_gets_ecrs_answer(ecr: Ecr, name: str, data: st.DataObject) -> None:
    document: Any = data.draw(documents(name))

    async def run() -> str:
        await refill(ecr)
        return await respond(ecr, name, json.dumps(document).encode())

    logging.disable(logging.CRITICAL)
    try:
        code = asyncio.run(run())
    finally:
        logging.disable(logging.NOTSET)

    assert code in known_codes(name)
