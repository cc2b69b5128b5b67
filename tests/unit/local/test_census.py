from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from portside.local.capacity.capacity import InvocationCount, Occupancy
from portside.local.capacity.traffic import Running, Traffic
from portside.local.endpoint.census import take_census
from portside.local.state.deployment import Deployment, Variant
from portside.local.state.resource import Kind, Resource
from tests.unit.local.state_fakes import ACCOUNT, ARN, IMAGE, REGION

if TYPE_CHECKING:
    from portside.local.capacity.capacity import Capacity

VARIANT = Variant(
    name="AllTraffic",
    model_name="ner",
    image=IMAGE,
    model_data_url=None,
    environment={},
    weight=1.0,
    instance_count=1,
    serverless={"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    startup_timeout_s=None,
)


@dataclass
class FakeCapacity:
    invocations: InvocationCount
    variant: Variant = VARIANT
    occupancy: Occupancy = Occupancy(warm=1, starting=2, outstanding=3)  # noqa: RUF009  frozen


class Endpoints:
    """Endpoints by name, and what runs of them."""

    def __init__(self, **traffic: Traffic | None) -> None:
        self._traffic = traffic

    def all_of(self, kind: Kind) -> list[Resource]:
        assert kind is Kind.ENDPOINT
        return [
            Resource(
                kind=kind,
                account=ACCOUNT,
                region=REGION,
                name=name,
                creation_time_ms=1,
                last_modified_time_ms=1,
                status="InService",
                members={},
            )
            for name in self._traffic
        ]

    def traffic(self, arn: str) -> Traffic | None:
        return self._traffic[arn.removeprefix(f"{ARN}endpoint/")]


def running(count: InvocationCount) -> Running:
    deployment = Deployment(config_name="one", requested_time_ms=1, variants=(VARIANT,))
    return Running(
        deployment=deployment, capacities={"AllTraffic": cast("Capacity", FakeCapacity(count))}
    )


def test_every_endpoint_is_there_with_what_runs_of_it() -> None:
    endpoints = Endpoints(
        updating=Traffic(
            blue=running(InvocationCount(cold=1, warm=9)), green=running(InvocationCount(cold=2))
        ),
        creating=None,
    )

    updating, creating = take_census(endpoints, endpoints)

    assert creating == {"name": "creating", "variants": []}
    assert updating["name"] == "updating"
    assert updating["variants"][0] == {
        "name": "AllTraffic",
        "is_serverless": True,
        "instances": {"warm": 1, "starting": 2, "outstanding": 3},
        "invocations": {"cold": 1, "warm": 9, "provisioned": 0, "spilled_over": 0},
    }
    assert [each["invocations"]["cold"] for each in updating["variants"]] == [1, 2]
