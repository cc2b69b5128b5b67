from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from portside.local.protocol.fault import Fault
from portside.local.services.endpoint import EndpointService
from portside.local.services.endpoint_config import EndpointConfigService
from portside.local.services.model import ModelService
from portside.local.state.deployment import Endpoint
from portside.local.state.endpoint_state import EndpointStatus
from portside.local.state.store import Store
from tests.unit.local.state_fakes import ARN, IMAGE, URL, FakeClock, FakeObjects, call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from portside.local.protocol.call import Value

NER = f"{ARN}endpoint/ner"


def percent(value: int) -> dict[str, Value]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def blue_green(routing: dict[str, Value]) -> dict[str, Value]:
    wait: dict[str, Value] = {"WaitIntervalInSeconds": 0}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing | wait}}


def rolling(value: int) -> dict[str, Value]:
    batch = percent(value)
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 0}}


@dataclass
class World:
    """The service, and in the controller's place a list of what it was told of."""

    store: Store
    reconciled: list[str] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.service = EndpointService(self.store, controller=self, clock=self.clock)

    def reconcile(self, arn: str) -> None:
        self.reconciled.append(arn)

    async def create(self, name: str = "NER", config: str = "one", **more: Value) -> Value:
        params = {"EndpointName": name, "EndpointConfigName": config} | more
        return await self.service.create(call("CreateEndpoint", **params))

    async def describe(self, name: str = "NER") -> dict[str, Value]:
        return await self.service.describe(call("DescribeEndpoint", EndpointName=name))

    async def update(self, config: str, **more: Value) -> None:
        params = {"EndpointName": "NER", "EndpointConfigName": config} | more
        await self.service.update(call("UpdateEndpoint", **params))

    async def rescale(self, *desired: Value) -> None:
        params = {"EndpointName": "NER", "DesiredWeightsAndCapacities": list(desired)}
        await self.service.update_weights_and_capacities(
            call("UpdateEndpointWeightsAndCapacities", **params)
        )

    async def delete(self) -> None:
        await self.service.delete(call("DeleteEndpoint", EndpointName="NER"))

    def set(self, status: EndpointStatus, *, failure_reason: str | None = None) -> None:
        """What the controller would write."""
        resource = self.store.find(NER)
        assert resource is not None
        endpoint = Endpoint.of(resource)
        is_up = status is not EndpointStatus.CREATING and status is not EndpointStatus.FAILED
        wanted = endpoint.pending or endpoint.deployment
        assert wanted is not None
        variants = tuple(
            replace(variant, resolved_image=f"{IMAGE}@sha256:0", resolution_time_ms=5_000)
            for variant in wanted.variants
        )
        found = replace(wanted, variants=variants)
        self.store.save(
            replace(
                endpoint,
                status=status,
                deployment=found if is_up else None,
                pending=None if is_up else found,
                is_scaling=False,
                failure_reason=failure_reason,
            ).resource()
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store, clock = Store.open(tmp_path / "state.sqlite3"), FakeClock()
    container = {"Image": IMAGE, "ModelDataUrl": URL, "Environment": {"A": "1"}}
    await ModelService(store, objects=FakeObjects(**{"model.tar.gz": b""}), clock=clock).create(
        call("CreateModel", ModelName="ner", PrimaryContainer=container)
    )
    for name, capacity in {
        "one": {"InstanceType": "ml.m5.large", "InitialInstanceCount": 2},
        "two": {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1},
        "twenty": {"InstanceType": "ml.m5.large", "InitialInstanceCount": 20},
        "many": {"InstanceType": "ml.m5.large", "InitialInstanceCount": 2_147_483_647},
        "serverless": {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}},
    }.items():
        variant = {"VariantName": "AllTraffic", "ModelName": "ner"} | capacity
        await EndpointConfigService(store, clock=clock).create(
            call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant])
        )
    both = [
        {"VariantName": name, "InitialVariantWeight": weight, "ModelName": "ner"}
        | {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        for name, weight in (("first", 1.0), ("second", 3.0))
    ]
    for name, variants in (("both", both), ("second", both[1:])):
        await EndpointConfigService(store, clock=clock).create(
            call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=variants)
        )
    yield World(store)
    store.close()


async def test_a_new_endpoint_is_creating_and_the_controller_knows(world: World) -> None:
    made = await world.create(Tags=[{"Key": "portside:project", "Value": "ner"}])
    described = await world.describe()

    assert made == {"EndpointArn": NER}
    assert world.reconciled == [NER]
    assert world.store.tags(NER) == {"portside:project": "ner"}
    assert described["EndpointName"] == "NER"
    assert described["EndpointStatus"] == "Creating"
    assert described["EndpointConfigName"] == "one"
    assert "ProductionVariants" not in described
    assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "one"


async def test_more_instances_than_a_machine_can_hold_are_refused(world: World) -> None:
    with pytest.raises(Fault) as caught:
        await world.create(config="many")
    assert world.store.find(NER) is None
    await world.create(config="twenty")

    assert caught.value.code == "ResourceLimitExceeded"
    assert caught.value.message == (
        "The account-level service limit 'ml.m5.large for endpoint usage' is 20 Instances, with"
        " current utilization of 0 Instances and a request delta of 2147483647 Instances. Please"
        " contact AWS support to request an increase for this limit."
    )


async def test_what_runs_is_described(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.IN_SERVICE)

    described = await world.describe("ner")  # the control plane does not mind the case

    (variant,) = described["ProductionVariants"]
    (image,) = variant.pop("DeployedImages")
    assert variant == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 2,
        "DesiredInstanceCount": 2,
    }
    assert (image["SpecifiedImage"], image["ResolvedImage"]) == (IMAGE, f"{IMAGE}@sha256:0")
    assert image["ResolutionTime"].timestamp() == 5
    assert "PendingDeploymentSummary" not in described
    assert "FailureReason" not in described


async def test_serverless_is_described_by_its_config(world: World) -> None:
    await world.create(config="serverless")
    world.set(EndpointStatus.IN_SERVICE)

    (variant,) = (await world.describe())["ProductionVariants"]

    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert "CurrentInstanceCount" not in variant


async def test_a_failed_endpoint_says_why(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.FAILED, failure_reason="no ping")

    described = await world.describe()

    assert (described["EndpointStatus"], described["FailureReason"]) == ("Failed", "no ping")
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    assert described["EndpointConfigName"] == "one"


async def test_it_keeps_what_it_was_made_from(world: World) -> None:
    await world.create()
    world.store.remove(f"{ARN}model/ner")
    world.store.remove(f"{ARN}endpoint-config/one")

    resource = world.store.find(NER)

    assert resource is not None
    pending = Endpoint.of(resource).pending
    assert pending is not None
    (variant,) = pending.variants
    assert (variant.model_data_url, variant.environment) == (URL, {"A": "1"})


async def test_an_update_is_pending_while_the_old_deployment_serves(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.IN_SERVICE, failure_reason="of the last update")

    await world.update("two")
    described = await world.describe()

    assert described["EndpointStatus"] == "Updating"
    assert described["EndpointConfigName"] == "one"
    assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "two"
    assert "FailureReason" not in described
    assert world.reconciled == [NER, NER]


async def test_a_delete_begins(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.IN_SERVICE)

    await world.delete()

    assert (await world.describe())["EndpointStatus"] == "Deleting"
    assert world.reconciled == [NER, NER]


async def message(awaitable: Value) -> str:
    with pytest.raises(Fault) as caught:
        await awaitable
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)
    return str(caught.value.message)


async def test_duplicates_and_unknowns(world: World) -> None:
    config = f"{ARN}endpoint-config/none"
    not_found = f'Could not find endpoint "{NER}".'
    assert await message(world.describe()) == not_found
    assert await message(world.delete()) == not_found
    assert await message(world.update("one")) == not_found
    assert await message(world.create(config="none")) == (
        f'Could not find endpoint configuration "{config}".'
    )
    await world.create("NER")
    assert await message(world.create("ner")) == f'Cannot create already existing endpoint "{NER}".'


async def test_a_model_deleted_meanwhile(world: World) -> None:
    world.store.remove(f"{ARN}model/ner")

    assert await message(world.create()) == f'Could not find model "{ARN}model/ner".'


@pytest.mark.parametrize(
    "status", [status for status in EndpointStatus if status.is_in_progress], ids=str
)
async def test_nothing_may_follow_while_something_is_done(
    world: World, status: EndpointStatus
) -> None:
    await world.create()
    world.set(status)
    expected = f'Cannot update in-progress endpoint "{NER}".'

    assert await message(world.update("two")) == expected
    assert await message(world.delete()) == expected
    assert world.reconciled == [NER]


async def test_only_delete_may_follow_on_failed(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.FAILED)

    assert (await message(world.update("two"))).startswith("Cannot update failed endpoint")
    await world.delete()


async def test_instances_do_not_become_serverless(world: World) -> None:
    await world.create(config="one")
    world.set(EndpointStatus.IN_SERVICE)
    assert "to serverless" in await message(world.update("serverless"))


async def test_serverless_has_no_deployment_guardrails(world: World) -> None:
    config = blue_green({"Type": "ALL_AT_ONCE"})
    refused = await message(world.create(config="serverless", DeploymentConfig=config))

    assert refused == "A serverless endpoint cannot have a DeploymentConfig."


async def test_serverless_may_become_instances(world: World) -> None:
    await world.create(config="serverless")
    world.set(EndpointStatus.IN_SERVICE)
    await world.update("one")

    assert (await world.describe())["EndpointStatus"] == "Updating"


async def test_endpoints_are_listed_by_status(world: World) -> None:
    await world.create("NER")
    await world.create("other")
    world.set(EndpointStatus.IN_SERVICE)

    page = await world.service.list_page(call("ListEndpoints", StatusEquals="InService"))

    assert [(each["EndpointName"], each["EndpointStatus"]) for each in page["Endpoints"]] == [
        ("NER", "InService")
    ]


async def test_a_deployment_config_is_kept_only_as_long_as_it_is_told(world: World) -> None:
    batch = {"Type": "INSTANCE_COUNT", "Value": 1}
    policy = {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 0}}
    await world.create(DeploymentConfig=policy)
    world.set(EndpointStatus.IN_SERVICE)
    assert (await world.describe())["LastDeploymentConfig"] == policy

    await world.update("two", RetainDeploymentConfig=True)
    assert (await world.describe())["LastDeploymentConfig"] == policy

    world.set(EndpointStatus.IN_SERVICE)
    await world.update("two")

    assert "LastDeploymentConfig" not in await world.describe()


async def test_other_weights_and_counts_are_pending_until_they_are_there(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.IN_SERVICE)

    await world.rescale(
        {"VariantName": "AllTraffic", "DesiredWeight": 3.0, "DesiredInstanceCount": 4}
    )
    described = await world.describe()
    (variant,) = described["ProductionVariants"]

    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (1.0, 3.0)
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 4)
    assert [each["Status"] for each in variant["VariantStatus"]] == ["Updating"]
    assert "PendingDeploymentSummary" not in described  # no other config is on its way


async def test_what_cannot_be_rescaled(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.IN_SERVICE)
    known: Value = {"VariantName": "AllTraffic", "DesiredWeight": 1.0}

    assert await message(world.rescale(known, known)) == (
        'The variant name "AllTraffic" was non-unique within the request.'
    )
    assert await message(world.rescale({"VariantName": "b"}, {"VariantName": "a"})) == (
        'The variant name(s) "a, b" is/are not present within endpoint configuration "one".'
    )
    nobody: Value = {"VariantName": "AllTraffic", "DesiredInstanceCount": 0}
    assert "must be at least 1" in await message(world.rescale(nobody))
    with pytest.raises(Fault, match="ResourceLimitExceeded"):
        await world.rescale({"VariantName": "AllTraffic", "DesiredInstanceCount": 21})
    weightless: Value = {"VariantName": "AllTraffic", "DesiredWeight": 0.0}
    assert "weight above zero" in await message(world.rescale(weightless))


async def test_an_update_cannot_keep_weights_that_leave_nobody(world: World) -> None:
    await world.create(config="both")
    world.set(EndpointStatus.IN_SERVICE)
    await world.rescale({"VariantName": "second", "DesiredWeight": 0.0})
    world.set(EndpointStatus.IN_SERVICE)

    refused = await message(world.update("second", RetainAllVariantProperties=True))

    assert "weight above zero" in refused


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (blue_green({"Type": "CANARY"}), "type CANARY must have a CanarySize"),
        (blue_green({"Type": "LINEAR"}), "type LINEAR must have a LinearStepSize"),
        (blue_green({"Type": "CANARY", "CanarySize": percent(51)}), "between 1 and 50 percent"),
        (blue_green({"Type": "LINEAR", "LinearStepSize": percent(9)}), "between 10 and 50 percent"),
        (rolling(4), "between 5 and 50 percent"),
        (blue_green({"Type": "ALL_AT_ONCE"}) | rolling(50), "Only one of"),
    ],
)
async def test_a_deployment_config_that_cannot_be_is_refused_at_once(
    world: World, config: dict[str, Value], words: str
) -> None:
    assert words in await message(world.create(DeploymentConfig=config))

    await world.create()
    world.set(EndpointStatus.IN_SERVICE)

    assert words in await message(world.update("two", DeploymentConfig=config))
    assert (await world.describe())["EndpointStatus"] == "InService"


async def test_an_update_can_keep_weights_and_counts(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.IN_SERVICE)

    await world.update("two", RetainAllVariantProperties=True)
    pending = (await world.describe())["PendingDeploymentSummary"]

    assert [each["DesiredInstanceCount"] for each in pending["ProductionVariants"]] == [2]


async def test_an_update_can_keep_all_but_the_counts(world: World) -> None:
    await world.create()
    world.set(EndpointStatus.IN_SERVICE)

    excluded: Value = [{"VariantPropertyType": "DesiredInstanceCount"}]
    await world.update(
        "two", RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded
    )
    pending = (await world.describe())["PendingDeploymentSummary"]

    assert [each["DesiredInstanceCount"] for each in pending["ProductionVariants"]] == [1]


async def test_every_variant_is_described(world: World) -> None:
    await world.create(config="both")
    world.set(EndpointStatus.IN_SERVICE)

    described = (await world.describe())["ProductionVariants"]

    assert [(each["VariantName"], each["CurrentWeight"]) for each in described] == [
        ("first", 1.0),
        ("second", 3.0),
    ]
