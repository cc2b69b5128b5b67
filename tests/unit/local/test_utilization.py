"""How busy instances are, as `/proc` tells it and as CloudWatch is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from portside.local.capacity.traffic import Running, Traffic
from portside.local.instance.usage import Usage, measure
from portside.local.metric.utilization import UtilizationMeter
from portside.local.state.deployment import Deployment, Variant
from portside.local.state.resource import Kind, Resource
from tests.unit.local.state_fakes import ACCOUNT, IMAGE, REGION, FakeClock

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from portside.local.capacity.capacity import Capacity
    from portside.local.delegated.metric_store import Datum

# proc(5): pid, name, state, ppid, pgrp, session, tty, tpgid, flags, four counts of faults, and from
# the twelfth after the name user time, system time, …; the twenty-second is the resident pages.
STAT = "{pid} (a) b)) S 1 1 1 0 -1 4194304 1 0 0 0 {user} {system} 0 0 20 0 1 0 100 999 {pages} 0 0"


def process(proc: Path, pid: int, *, user: int = 0, system: int = 0, pages: int = 0) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(STAT.format(pid=pid, user=user, system=system, pages=pages))


def test_a_group_is_all_of_its_processes(tmp_path: Path) -> None:
    process(tmp_path, 10, user=100, system=50, pages=3)
    process(tmp_path, 11, user=50, pages=1)
    process(tmp_path, 20, user=999, pages=9)
    (tmp_path / "12").mkdir()  # it ended just now
    (tmp_path / "meminfo").touch()

    found = measure({10}, proc=tmp_path, group_of=lambda pid: pid // 10 * 10)

    assert found == {10: Usage(cpu_s=2.0, memory_bytes=4 * 4096)}


def test_a_system_without_proc_tells_nothing(tmp_path: Path) -> None:
    assert measure({10}, proc=tmp_path / "none") == {}


@dataclass
class FakeCapacity:
    variant: Variant
    groups: tuple[int, ...]


@dataclass
class World:
    """One endpoint with two instances, and CloudWatch."""

    serverless: dict[str, int] | None = None
    usage: dict[int, Usage] = field(default_factory=dict)
    data: list[Datum] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def all_of(self, kind: Kind) -> list[Resource]:
        assert kind is Kind.ENDPOINT
        return [
            Resource(
                kind=kind,
                account=ACCOUNT,
                region=REGION,
                name="NER",
                creation_time_ms=1,
                last_modified_time_ms=1,
                members={},
            )
        ]

    def traffic(self, arn: str) -> Traffic:
        variant = Variant(
            name="AllTraffic",
            model_name="ner",
            image=IMAGE,
            model_data_url=None,
            environment={},
            weight=1.0,
            instance_count=2,
            serverless=self.serverless,
            startup_timeout_s=None,
        )
        capacity = cast("Capacity", FakeCapacity(variant, (10, 20)))
        deployment = Deployment(config_name="one", requested_time_ms=1, variants=(variant,))
        return Traffic(blue=Running(deployment=deployment, capacities={"AllTraffic": capacity}))

    def measure(self, groups: Collection[int]) -> dict[int, Usage]:
        assert set(groups) == {10, 20}
        return self.usage

    async def put_metrics(self, data: Sequence[Datum]) -> None:
        self.data = list(data)

    def told(self, name: str) -> list[float]:
        assert all(
            (each.metric.namespace, each.metric.dimensions, each.unit)
            == (
                "/aws/sagemaker/Endpoints",
                {"EndpointName": "NER", "VariantName": "AllTraffic"},
                "Percent",
            )
            for each in self.data
        )
        return [each.sum for each in self.data if each.metric.name == name]


async def test_each_instance_is_told_as_a_share(tmp_path: Path) -> None:
    world = World(serverless={"MemorySizeInMB": 1024, "MaxConcurrency": 2})
    meter = UtilizationMeter(
        world, switch=world, sink=world, disk=tmp_path, clock=world.clock, measure=world.measure
    )
    half = 512 * 1024 * 1024
    world.usage = {10: Usage(cpu_s=5, memory_bytes=half), 20: Usage(cpu_s=1, memory_bytes=0)}
    await meter.look()
    assert world.told("CPUUtilization") == [0, 0]  # nobody knows since when

    await world.clock.sleep(60)
    world.usage = {10: Usage(cpu_s=95, memory_bytes=half), 20: Usage(cpu_s=1, memory_bytes=0)}
    await meter.look()

    assert world.told("CPUUtilization") == [150, 0]  # one and a half cores
    assert world.told("MemoryUtilization") == [50, 0]
    (disk, same) = world.told("DiskUtilization")
    assert 0 < disk == same <= 100


async def test_an_instance_that_ended_is_left_out(tmp_path: Path) -> None:
    world = World()
    meter = UtilizationMeter(
        world, switch=world, sink=world, disk=tmp_path, clock=world.clock, measure=world.measure
    )
    world.usage = {20: Usage(cpu_s=1, memory_bytes=1)}

    await meter.look()

    assert len(world.told("MemoryUtilization")) == 1


@pytest.mark.parametrize("pace", [1, 60])
async def test_it_looks_once_a_minute_at_this_pace(tmp_path: Path, pace: float) -> None:
    world = World()
    world.usage = {10: Usage(cpu_s=1, memory_bytes=1)}
    begun = world.clock.monotonic()
    meter = UtilizationMeter(
        world,
        switch=world,
        sink=world,
        disk=tmp_path,
        clock=world.clock,
        pace=pace,
        measure=world.measure,
    )

    meter.start()
    while not world.data:
        await world.clock.sleep(0.1)
    await meter.stop()

    assert world.clock.monotonic() - begun == pytest.approx(60 / pace, rel=0.3)
