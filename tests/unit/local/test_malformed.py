"""Whatever is asked, the answer is SageMaker's: an output or a fault of its own, never a bug."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.local.protocol import parser, serializer
from portside.local.protocol.call import Call
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request
from portside.local.protocol.service import find_operation, find_service, service_model
from portside.local.protocol.validate import validate
from portside.local.services.endpoint import EndpointService
from portside.local.services.endpoint_config import EndpointConfigService
from portside.local.services.model import ModelService
from portside.local.services.tag import TagService
from portside.local.state.deployment import Endpoint
from portside.local.state.endpoint_state import EndpointEvent
from portside.local.state.resource import Kind
from portside.local.state.store import Store
from tests.unit.local.malformed import requests
from tests.unit.local.state_fakes import ACCOUNT, IMAGE, REGION, URL, FakeClock, FakeObjects, call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portside.local.protocol.call import Handler

CODES = {
    "ValidationException",
    "SerializationException",
    "ResourceLimitExceeded",
    "NotImplementedException",
}


class Nobody:
    """In the controller's place: what is written is left as it is."""

    def reconcile(self, arn: str) -> None:
        pass


def handlers(store: Store) -> Mapping[str, Handler]:
    clock, objects = FakeClock(), FakeObjects(**{"model.tar.gz": b""})
    model = ModelService(store, objects=objects, clock=clock)
    config = EndpointConfigService(store, clock=clock)
    endpoint = EndpointService(store, controller=Nobody(), clock=clock)
    tag = TagService(store)
    return {
        "CreateModel": model.create,
        "DescribeModel": model.describe,
        "ListModels": model.list_page,
        "DeleteModel": model.delete,
        "CreateEndpointConfig": config.create,
        "DescribeEndpointConfig": config.describe,
        "ListEndpointConfigs": config.list_page,
        "DeleteEndpointConfig": config.delete,
        "CreateEndpoint": endpoint.create,
        "DescribeEndpoint": endpoint.describe,
        "ListEndpoints": endpoint.list_page,
        "UpdateEndpoint": endpoint.update,
        "UpdateEndpointWeightsAndCapacities": endpoint.update_weights_and_capacities,
        "DeleteEndpoint": endpoint.delete,
        "AddTags": tag.add,
        "ListTags": tag.list_page,
        "DeleteTags": tag.delete,
    }


async def fill(store: Store, table: Mapping[str, Handler]) -> None:
    """Something to stumble over: a Model, a configuration and an endpoint that serves."""
    container = {"Image": IMAGE, "ModelDataUrl": URL}
    await table["CreateModel"](call("CreateModel", ModelName="ner", PrimaryContainer=container))
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "ner",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    await table["CreateEndpointConfig"](
        call("CreateEndpointConfig", EndpointConfigName="one", ProductionVariants=[variant])
    )
    await table["CreateEndpoint"](
        call("CreateEndpoint", EndpointName="ner", EndpointConfigName="one")
    )
    (resource,) = store.all_of(Kind.ENDPOINT)
    created = Endpoint.of(resource).moved(EndpointEvent.HEALTHY, at_ms=1)
    store.save(replace(created, deployment=created.pending, pending=None).resource())


@cache
def documents(name: str) -> st.SearchStrategy[Any]:
    return requests(service_model("sagemaker").operation_model(name).input_shape)


async def respond(table: Mapping[str, Handler], name: str, body: bytes) -> str:
    """The way of a request behind the signature; the code of its fault, or nothing."""
    request = Request(
        method="POST",
        path="/",
        query="",
        headers=(("x-amz-target", f"SageMaker.{name}"),),
    )
    service = find_service("sagemaker", request)
    assert service is not None
    operation = find_operation(service, request)
    try:
        params = parser.parse(operation, request, body)
        validate(operation, params)
        asked = Call(
            service="sagemaker",
            operation=name,
            params=params,
            account=ACCOUNT,
            region=REGION,
            request_id="r",
        )
        answer = serializer.serialize(operation, await table[name](asked))
    except Fault as fault:
        serializer.serialize_fault(service, fault, request_id="r")
        return fault.code
    assert answer.status == 200
    return ""


@pytest.mark.parametrize("name", sorted(handlers(None)))  # type: ignore[arg-type]  # for its names
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_request_gets_sagemakers_answer(name: str, data: st.DataObject) -> None:
    document: Any = data.draw(documents(name))
    store = Store.open(Path(":memory:"))

    async def run() -> str:
        table = handlers(store)
        await fill(store, table)
        return await respond(table, name, json.dumps(document).encode())

    logging.disable(logging.CRITICAL)
    try:
        code = asyncio.run(run())
    finally:
        store.close()
        logging.disable(logging.NOTSET)

    assert code in CODES | {""}
