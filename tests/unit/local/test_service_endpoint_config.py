from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.local.protocol.fault import Fault
from portside.local.services.endpoint_config import EndpointConfigService
from portside.local.services.model import ModelService
from portside.local.state.store import Store
from tests.unit.local.state_fakes import ARN, IMAGE, FakeClock, FakeObjects, call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from portside.local.protocol.call import Value

INSTANCE = {
    "VariantName": "AllTraffic",
    "ModelName": "ner",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 1,
}
SERVERLESS = {
    "VariantName": "AllTraffic",
    "ModelName": "ner",
    "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[EndpointConfigService]:
    store, clock = Store.open(tmp_path / "state.sqlite3"), FakeClock()
    models = ModelService(store, objects=FakeObjects(), clock=clock)
    await models.create(call("CreateModel", ModelName="ner", PrimaryContainer={"Image": IMAGE}))
    yield EndpointConfigService(store, clock=clock)
    store.close()


def create(*variants: dict[str, Value], **changes: Value) -> dict[str, Value]:
    return {
        "EndpointConfigName": "Config",
        "ProductionVariants": list(variants or (INSTANCE,)),
    } | changes


async def refused(service: EndpointConfigService, **params: Value) -> Fault:
    with pytest.raises(Fault) as caught:
        await service.create(call("CreateEndpointConfig", **params))
    return caught.value


@pytest.mark.parametrize("variant", [INSTANCE, SERVERLESS])
async def test_a_config_is_described_as_it_was_made(
    service: EndpointConfigService, variant: dict[str, Value]
) -> None:
    made = await service.create(call("CreateEndpointConfig", **create(variant)))
    described = await service.describe(call("DescribeEndpointConfig", EndpointConfigName="Config"))

    assert made == {"EndpointConfigArn": f"{ARN}endpoint-config/config"}
    assert described["EndpointConfigName"] == "Config"
    assert described["ProductionVariants"] == [{**variant, "InitialVariantWeight": 1.0}]


async def test_duplicates_and_unknowns(service: EndpointConfigService) -> None:
    arn = f"{ARN}endpoint-config/config"
    await service.create(call("CreateEndpointConfig", **create()))
    again = await refused(service, **create())
    await service.delete(call("DeleteEndpointConfig", EndpointConfigName="Config"))
    with pytest.raises(Fault) as gone:
        await service.describe(call("DescribeEndpointConfig", EndpointConfigName="Config"))

    assert again.message == f'Cannot create already existing endpoint configuration "{arn}".'
    assert gone.value.code == "ValidationException"
    assert gone.value.message == f'Could not find endpoint configuration "{arn}".'


async def test_the_model_must_be_there(service: EndpointConfigService) -> None:
    fault = await refused(service, **create({**INSTANCE, "ModelName": "other"}))

    assert fault.message == f'Could not find model "{ARN}model/other".'


@pytest.mark.parametrize(
    "variant",
    [
        {"VariantName": "AllTraffic", "ModelName": "ner"},
        {"VariantName": "AllTraffic", "ModelName": "ner", "InstanceType": "ml.m5.large"},
        INSTANCE | SERVERLESS,
        SERVERLESS | {"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 5}},
        SERVERLESS
        | {
            "ServerlessConfig": {
                "MemorySizeInMB": 2048,
                "MaxConcurrency": 5,
                "ProvisionedConcurrency": 6,
            }
        },
    ],
)
async def test_what_cannot_be(service: EndpointConfigService, variant: dict[str, Value]) -> None:
    assert (await refused(service, **create(variant))).code == "ValidationException"


@pytest.mark.parametrize(
    "params",
    [
        create(ShadowProductionVariants=[INSTANCE]),
        create(AsyncInferenceConfig={"OutputConfig": {}}),
        create({**INSTANCE, "RoutingConfig": {"RoutingStrategy": "KV_AWARE"}}),
        create({"VariantName": "AllTraffic", "InstanceType": "ml.m5.large"}),
        create({**INSTANCE, "ManagedInstanceScaling": {"Status": "ENABLED"}}),
        create(EnableNetworkIsolation=True),
        create(VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}),
    ],
)
async def test_what_is_not_built_says_so(
    service: EndpointConfigService, params: dict[str, Value]
) -> None:
    fault = await refused(service, **params)

    assert (fault.code, fault.status) == ("NotImplementedException", 501)


CAPTURE: Value = {
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": "s3://bucket/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


@pytest.mark.parametrize(
    "params",
    [
        create(INSTANCE, INSTANCE),  # of one name
        create(INSTANCE, {**SERVERLESS, "VariantName": "Other"}),
        create({**INSTANCE, "InitialVariantWeight": 0.0}),
        create(SERVERLESS, DataCaptureConfig=CAPTURE),
    ],
)
async def test_what_cannot_be_together(
    service: EndpointConfigService, params: dict[str, Value]
) -> None:
    assert (await refused(service, **params)).code == "ValidationException"


async def test_several_variants_and_data_capture_are_told_again(
    service: EndpointConfigService,
) -> None:
    other = {**INSTANCE, "VariantName": "Other", "InitialVariantWeight": 0.0}
    await service.create(
        call("CreateEndpointConfig", **create(INSTANCE, other, DataCaptureConfig=CAPTURE))
    )

    described = await service.describe(call("DescribeEndpointConfig", EndpointConfigName="Config"))

    assert [each["VariantName"] for each in described["ProductionVariants"]] == [
        "AllTraffic",
        "Other",
    ]
    assert described["DataCaptureConfig"] == CAPTURE


async def test_configs_are_listed(service: EndpointConfigService) -> None:
    await service.create(call("CreateEndpointConfig", **create()))

    page = await service.list_page(call("ListEndpointConfigs"))

    assert [each["EndpointConfigArn"] for each in page["EndpointConfigs"]] == [
        f"{ARN}endpoint-config/config"
    ]
    assert "NextToken" not in page
