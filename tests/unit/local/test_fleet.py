from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portside.local.capacity.capacity import NoInstanceError, PingFailedError
from portside.local.capacity.fleet import Fleet
from portside.local.capacity.starter import MAX_TRIES, FleetSpec, Starter, new_instance_id
from portside.local.state.deployment import Variant
from tests.unit.local.state_fakes import (
    IMAGE,
    REGION,
    FakeClock,
    FakeLauncher,
    eventually,
    settled,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def fleet_of(
    launcher: FakeLauncher,
    *,
    count: int = 1,
    clock: FakeClock | None = None,
    new_id: Callable[[], str] = new_instance_id,
) -> Fleet:
    variant = Variant(
        name="AllTraffic",
        model_name="ner",
        image=IMAGE,
        model_data_url=None,
        environment={"A": "1"},
        weight=1.0,
        instance_count=count,
        serverless=None,
        startup_timeout_s=None,
    )
    spec = FleetSpec(
        endpoint_name="NER", region=REGION, variant=variant, model_dir=Path("/models/x")
    )
    clock = clock or FakeClock()
    starter = Starter(spec, launcher=launcher, pinger=launcher, clock=clock, new_id=new_id)
    return Fleet(starter, clock=clock)


async def test_every_instance_is_up_when_it_has_started() -> None:
    launcher = FakeLauncher(1, 5, 3)
    fleet = fleet_of(launcher, count=3)

    await fleet.start(startup_timeout_s=480)

    assert len(launcher.alive) == 3
    await fleet.stop()
    assert launcher.alive == []


async def test_an_instance_is_launched_with_the_variant_s_things() -> None:
    launcher = FakeLauncher()
    fleet = fleet_of(launcher, new_id=lambda: "i-1")

    await fleet.start(startup_timeout_s=480)

    spec = launcher.processes[0].spec
    assert (spec.image, spec.environment, spec.model_dir) == (IMAGE, {"A": "1"}, Path("/models/x"))
    assert (spec.log_group, spec.log_stream) == ("/aws/sagemaker/Endpoints/NER", "AllTraffic/i-1")
    await fleet.stop()


def test_instance_ids_look_like_ec2_s() -> None:
    first, second = new_instance_id(), new_instance_id()

    assert first != second
    assert re.fullmatch("i-[0-9a-f]{17}", first)


async def test_an_instance_that_ends_while_starting_is_tried_again_in_the_same_stream() -> None:
    launcher = FakeLauncher(None, None, 1)
    fleet = fleet_of(launcher)

    await fleet.start(startup_timeout_s=480)

    assert len(launcher.processes) == 3
    assert len({process.spec.log_stream for process in launcher.processes}) == 1
    await fleet.stop()


async def test_after_three_ends_it_is_given_up_long_before_the_time_is_over() -> None:
    launcher, clock = FakeLauncher(None, None, None), FakeClock()
    fleet = fleet_of(launcher, clock=clock)
    begun = clock.monotonic()

    with pytest.raises(PingFailedError):
        await fleet.start(startup_timeout_s=480)

    assert len(launcher.processes) == MAX_TRIES
    assert clock.monotonic() - begun < 10


async def test_an_instance_that_never_answers_is_given_up_when_the_time_is_over() -> None:
    launcher, clock = FakeLauncher(1_000_000), FakeClock()
    fleet = fleet_of(launcher, clock=clock)
    begun = clock.monotonic()

    with pytest.raises(PingFailedError):
        await fleet.start(startup_timeout_s=180)

    assert clock.monotonic() - begun == pytest.approx(180, abs=1)
    assert launcher.alive == []


async def test_one_bad_instance_fails_the_start_and_ends_the_others() -> None:
    launcher = FakeLauncher(1, None, None, None)
    fleet = fleet_of(launcher, count=2)

    with pytest.raises(PingFailedError):
        await fleet.start(startup_timeout_s=480)

    assert launcher.alive == []


async def test_an_instance_that_ends_later_is_replaced_by_one_with_a_new_id() -> None:
    launcher = FakeLauncher()
    fleet = fleet_of(launcher)
    await fleet.start(startup_timeout_s=480)

    launcher.processes[0].exit(-9)
    await eventually(lambda: len(launcher.processes) == 2)

    first, second = launcher.processes
    assert first.spec.instance_id != second.spec.instance_id
    await eventually(lambda: _has_instance(fleet))
    await fleet.stop()


async def test_an_instance_that_hangs_is_killed_and_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    launcher = FakeLauncher()
    fleet = fleet_of(launcher)
    await fleet.start(startup_timeout_s=480)
    hung = launcher.processes[0]

    hung.hangs = True
    await eventually(lambda: len(launcher.processes) == 2 and _has_instance(fleet))

    assert hung.signals == ["KILL"]
    assert "did not answer /ping any more" in caplog.text
    async with fleet.lease() as lease:
        assert lease.instance.port != hung.port
    await fleet.stop()


async def test_time_that_is_spent_is_missing_at_the_start() -> None:
    launcher, clock = FakeLauncher(1_000_000), FakeClock()
    fleet = fleet_of(launcher, clock=clock)
    begun = clock.monotonic()

    with pytest.raises(PingFailedError):
        await fleet.start(startup_timeout_s=180, spent_s=170)

    assert clock.monotonic() - begun == pytest.approx(10, abs=1)


async def test_it_is_replaced_as_often_as_it_takes_and_ever_more_slowly() -> None:
    launcher, clock = FakeLauncher(1, *[None] * 30, 1), FakeClock()
    fleet = fleet_of(launcher, clock=clock)
    await fleet.start(startup_timeout_s=480)
    begun = clock.monotonic()

    launcher.processes[0].exit(1)
    await eventually(lambda: len(launcher.processes) == 32 and _has_instance(fleet))

    assert clock.monotonic() - begun > 60
    await fleet.stop()


def _has_instance(fleet: Fleet) -> bool:
    return fleet.occupancy.warm > 0


async def test_a_lease_goes_to_the_instance_with_least_to_do() -> None:
    launcher = FakeLauncher()
    fleet = fleet_of(launcher, count=2)
    await fleet.start(startup_timeout_s=480)

    async with fleet.lease() as first, fleet.lease() as second:
        assert first.instance.port != second.instance.port
    async with fleet.lease() as third:
        pass
    async with fleet.lease() as fourth:
        assert fourth.instance.port != third.instance.port  # idle ones take turns
    await fleet.stop()


async def test_there_is_no_lease_while_nothing_is_healthy() -> None:
    launcher = FakeLauncher(1_000_000)
    fleet = fleet_of(launcher)

    with pytest.raises(NoInstanceError):
        await fleet.lease().__aenter__()


async def test_an_instance_that_just_ended_is_not_leased() -> None:
    launcher = FakeLauncher()
    fleet = fleet_of(launcher, count=2)
    await fleet.start(startup_timeout_s=480)
    gone, left = launcher.processes

    gone.exit(-9)

    async with fleet.lease() as lease:
        assert lease.instance.port == left.port
    await fleet.stop()


async def test_draining_waits_for_what_is_in_hand_and_lets_nothing_in() -> None:
    launcher = FakeLauncher()
    fleet = fleet_of(launcher)
    await fleet.start(startup_timeout_s=480)

    async with fleet.lease():
        draining = asyncio.create_task(fleet.drain())
        assert not await settled(asyncio.shield(draining), turns=10)
        with pytest.raises(NoInstanceError):
            await fleet.lease().__aenter__()

    await draining
    await fleet.stop()


async def test_draining_ends_when_an_invocation_could_not_last_longer() -> None:
    launcher, clock = FakeLauncher(), FakeClock()
    fleet = fleet_of(launcher, clock=clock)
    await fleet.start(startup_timeout_s=480)
    begun = clock.monotonic()

    async with fleet.lease():
        await fleet.drain()

    assert clock.monotonic() - begun == pytest.approx(60, abs=1)
    await fleet.stop()
