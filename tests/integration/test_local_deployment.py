"""Updates, shifts and several variants with real instances, under load."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from portside.local.protocol.fault import Fault
from tests.integration.local_life import (
    GREETER,
    Alarms,
    LocalSageMaker,
    children,
    running,
    until,
    variant,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REQUESTS_A_SECOND = 50


@dataclass
class Load:
    """What a steady stream of requests was answered, whenever each came back."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)

    @asynccontextmanager
    async def on(self, local: LocalSageMaker) -> AsyncIterator[Load]:
        """Open loop: a request every 20 ms, answered or not."""
        calls: set[asyncio.Task[None]] = set()

        async def call() -> None:
            try:
                self.answers[await local.invoke("x")] += 1
            except Fault as fault:
                self.faults.append(fault)

        async def send() -> None:
            while True:
                calls.add(asyncio.create_task(call()))
                await asyncio.sleep(1 / REQUESTS_A_SECOND)

        sending = asyncio.create_task(send())
        try:
            yield self
        finally:
            sending.cancel()
            await asyncio.gather(*calls)


def blue_green(kind: str, *, wait_s: int, **sizes: Any) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait_s, **sizes}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


async def served(local: LocalSageMaker, greeting: str, *, instance_count: int = 1) -> None:
    """An endpoint InService whose instances answer this."""
    url = local.put(f"{greeting}.tar.gz", GREETER.format(greeting=greeting))
    await local.configure(url, config=greeting, instance_count=instance_count)
    await local.call("CreateEndpoint", EndpointName="ner", EndpointConfigName=greeting)
    assert (await local.at_rest())["EndpointStatus"] == "InService", await local.log_text()


async def prepared(local: LocalSageMaker, greeting: str) -> None:
    """A configuration to move to."""
    url = local.put(f"{greeting}.tar.gz", GREETER.format(greeting=greeting))
    await local.configure(url, config=greeting)


async def test_a_linear_update_under_load_fails_no_request(tmp_path: Path) -> None:
    async with running(tmp_path, pace=60) as local:
        await served(local, "old")
        await prepared(local, "new")
        step = {"Type": "CAPACITY_PERCENT", "Value": 50}
        policy = blue_green("LINEAR", wait_s=60, LinearStepSize=step)

        async with Load().on(local) as load:
            await local.call(
                "UpdateEndpoint",
                EndpointName="ner",
                EndpointConfigName="new",
                DeploymentConfig=policy,
            )
            described = await local.at_rest()

        assert load.faults == []
        assert described["EndpointConfigName"] == "new"
        assert described["LastDeploymentConfig"] == policy
        assert load.answers["old"] > 20
        assert load.answers["new"] > 20
        assert len(children()) == 1


async def test_an_alarm_brings_all_traffic_back_and_fails_no_request(tmp_path: Path) -> None:
    alarms = Alarms({"errors": "OK"})
    async with running(tmp_path, pace=60, alarms=alarms) as local:
        await served(local, "old")
        await prepared(local, "new")
        size = {"Type": "CAPACITY_PERCENT", "Value": 50}
        policy = blue_green("CANARY", wait_s=3600, CanarySize=size)
        rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}

        async with Load().on(local) as load:
            await local.call(
                "UpdateEndpoint",
                EndpointName="ner",
                EndpointConfigName="new",
                DeploymentConfig=policy | rollback,
            )

            async def new_answers() -> bool:
                return load.answers["new"] > 5

            await until(new_answers)
            alarms.states["errors"] = "ALARM"
            described = await local.at_rest()
            load.answers.clear()
            await asyncio.sleep(0.2)

        assert load.faults == []
        assert set(load.answers) == {"old"}
        assert described["EndpointConfigName"] == "old"
        assert "errors" in described["FailureReason"]
        assert len(children()) == 1


async def test_variants_share_the_traffic_by_weight_or_by_name(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        for greeting in ("one", "two"):
            url = local.put(f"{greeting}.tar.gz", GREETER.format(greeting=greeting))
            await local.add_model(url, name=greeting)
        await local.add_config(
            "both", variant("one", name="A", weight=1), variant("two", name="B", weight=3)
        )
        await local.call("CreateEndpoint", EndpointName="ner", EndpointConfigName="both")
        await local.at_rest()

        answers = Counter([await local.invoke("x") for _ in range(400)])
        assert 50 <= answers["one"] <= 150  # 100 expected, five standard deviations either way
        assert {await local.invoke("x", TargetVariant="A") for _ in range(10)} == {"one"}

        await local.call(
            "UpdateEndpointWeightsAndCapacities",
            EndpointName="ner",
            DesiredWeightsAndCapacities=[{"VariantName": "B", "DesiredWeight": 0.0}],
        )
        await local.at_rest()
        assert {await local.invoke("x") for _ in range(50)} == {"one"}


async def test_capacity_grows_and_shrinks_under_load(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await served(local, "old")
        async with Load().on(local) as load:
            for count in (3, 1):
                desired = [{"VariantName": "AllTraffic", "DesiredInstanceCount": count}]
                await local.call(
                    "UpdateEndpointWeightsAndCapacities",
                    EndpointName="ner",
                    DesiredWeightsAndCapacities=desired,
                )
                (now,) = (await local.at_rest())["ProductionVariants"]
                assert now["CurrentInstanceCount"] == count
                assert len(children()) == count

        assert load.faults == []


async def test_a_killed_instance_takes_only_what_it_had_in_hand(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await served(local, "old", instance_count=2)
        victim = psutil.Process(int(await local.invoke("pid")))
        async with Load().on(local) as load:
            await asyncio.sleep(0.3)
            in_hand = asyncio.create_task(local.invoke("slow", InferenceId="slow"))
            await asyncio.sleep(0.05)
            os.kill(victim.pid, signal.SIGKILL)
            await asyncio.gather(in_hand, return_exceptions=True)
            await asyncio.sleep(0.3)

        # At most those that were on it in that moment; every later one went to the other.
        assert len(load.faults) <= 2
        assert {fault.code for fault in load.faults} <= {"ModelError"}
        assert load.answers["old"] > 20
