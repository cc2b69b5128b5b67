from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portside.local.capacity.capacity import (
    InvocationCount,
    Lease,
    NoInstanceError,
    Occupancy,
    PingFailedError,
    ThrottledError,
)
from portside.local.capacity.serverless import ServerlessCapacity
from portside.local.capacity.starter import FleetSpec, Starter
from portside.local.instance.instance_client import ConnectionLostError, InvocationTimeoutError
from portside.local.state.deployment import Variant
from tests.unit.local.state_fakes import IMAGE, REGION, FakeLauncher, eventually, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

IDLE_TIMEOUT_S = 300.0
_NEVER = 1_000_000
"""Pings that an instance would need to become healthy."""


class ManualClock:
    """Time that stands still until a test moves it on."""

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def now_ms(self) -> int:
        return round(self._now * 1000)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        wakened = asyncio.get_running_loop().create_future()
        self._sleepers[wakened] = self._now + seconds
        try:
            await wakened
        finally:
            del self._sleepers[wakened]

    async def advance(self, seconds: float) -> None:
        """Move on, waking who is due at the moment when it is due."""
        until = self._now + seconds
        await _let_others_run()
        while (due := min(self._sleepers.values(), default=until + 1)) <= until:
            self._now = max(self._now, due)
            for sleeper, wake_time in self._sleepers.items():
                if wake_time <= due and not sleeper.done():
                    sleeper.set_result(None)
            await _let_others_run()
        self._now = until


async def _let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Bench:
    """A capacity over fake instances, and what they and the time do."""

    def __init__(self, *plan: int | None, max_concurrency: int = 2, provisioned: int = 0) -> None:
        self.clock = ManualClock()
        self.launcher = FakeLauncher(*plan)
        self.variant = variant(max_concurrency=max_concurrency, provisioned=provisioned)
        spec = FleetSpec(
            endpoint_name="ner", region=REGION, variant=self.variant, model_dir=Path("/models/x")
        )
        self.capacity = ServerlessCapacity(
            spec,
            new_starter=partial(
                Starter, launcher=self.launcher, pinger=self.launcher, clock=self.clock
            ),
            clock=self.clock,
            idle_timeout_s=IDLE_TIMEOUT_S,
        )

    async def invoke(self) -> Lease:
        """One invocation that is answered at once."""
        async with self.capacity.lease() as lease:
            return lease

    async def hold(self, leases: AsyncExitStack) -> Lease:
        """One invocation that is not answered before `leases` are closed."""
        return await leases.enter_async_context(self.capacity.lease())

    def invoke_later(self) -> asyncio.Task[Lease]:
        return asyncio.create_task(self.invoke())


def variant(*, max_concurrency: int, provisioned: int = 0) -> Variant:
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": max_concurrency}
    if provisioned:
        serverless["ProvisionedConcurrency"] = provisioned
    return Variant(
        name="AllTraffic",
        model_name="ner",
        image=IMAGE,
        model_data_url=None,
        environment={},
        weight=1.0,
        instance_count=1,
        serverless=serverless,
        startup_timeout_s=None,
    )


@asynccontextmanager
async def started(
    *plan: int | None, max_concurrency: int = 2, provisioned: int = 0
) -> AsyncIterator[Bench]:
    bench = Bench(*plan, max_concurrency=max_concurrency, provisioned=provisioned)
    await bench.capacity.start(startup_timeout_s=180)
    try:
        yield bench
    finally:
        await bench.capacity.stop()
        assert bench.launcher.alive == []


async def test_the_instance_that_was_started_to_see_that_it_comes_up_serves_warm() -> None:
    async with started() as bench:
        lease = await bench.invoke()

        assert lease.setup_s == 0
        assert len(bench.launcher.processes) == 1
        assert bench.capacity.invocations == InvocationCount(warm=1)
        assert bench.launcher.processes[0].spec.is_confined
        assert bench.launcher.processes[0].spec.memory_limit_bytes == 2048 * 1024**2


async def test_where_it_does_not_come_up_nothing_is_left() -> None:
    bench = Bench(_NEVER)
    starting = asyncio.create_task(bench.capacity.start(startup_timeout_s=180, spent_s=170))

    await bench.clock.advance(11)

    with pytest.raises(PingFailedError):
        await starting
    assert bench.launcher.alive == []


async def test_after_the_idle_time_the_next_invocation_waits_for_a_real_start() -> None:
    async with started() as bench:
        first = await bench.invoke()
        await bench.clock.advance(IDLE_TIMEOUT_S - 1)
        assert len(bench.launcher.alive) == 1
        await bench.clock.advance(1)
        assert bench.launcher.alive == []

        bench.launcher.plan = [11]  # healthy at the eleventh ping, every 0.2 s
        invoked = bench.invoke_later()
        await bench.clock.advance(2)

        second = await invoked
        assert second.setup_s == pytest.approx(2)
        assert second.instance.instance_id != first.instance.instance_id
        assert bench.capacity.invocations == InvocationCount(cold=1, warm=1)


async def test_an_invocation_sets_the_idle_time_back() -> None:
    async with started() as bench:
        for _ in range(3):
            await bench.clock.advance(IDLE_TIMEOUT_S - 1)
            await bench.invoke()

        assert len(bench.launcher.processes) == 1


async def test_an_instance_answers_one_invocation_at_a_time() -> None:
    async with started(max_concurrency=3) as bench, AsyncExitStack() as leases:
        held = [await bench.hold(leases) for _ in range(3)]

        assert len({lease.instance.instance_id for lease in held}) == 3
        assert bench.capacity.occupancy == Occupancy(warm=3, starting=0, outstanding=3)


async def test_the_instance_that_was_used_last_is_used_again() -> None:
    async with started() as bench:
        async with bench.capacity.lease() as first, bench.capacity.lease():
            pass

        assert (await bench.invoke()).instance is first.instance


async def test_at_the_max_concurrency_the_next_one_is_throttled_at_once() -> None:
    async with started(max_concurrency=2) as bench:
        async with bench.capacity.lease(), bench.capacity.lease():
            with pytest.raises(ThrottledError):
                await bench.invoke()

        await bench.invoke()
        assert len(bench.launcher.processes) == 2


async def test_who_waits_for_a_cold_start_counts_as_outstanding() -> None:
    async with started(1, _NEVER, max_concurrency=2) as bench, AsyncExitStack() as leases:
        await bench.hold(leases)
        waiting = bench.invoke_later()
        await bench.clock.advance(1)

        with pytest.raises(ThrottledError):
            await bench.invoke()
        assert bench.capacity.occupancy == Occupancy(warm=1, starting=1, outstanding=2)
        waiting.cancel()


async def test_who_hangs_up_in_a_cold_start_leaves_a_warm_instance_and_a_free_place() -> None:
    async with started(1, 6, max_concurrency=2) as bench, AsyncExitStack() as leases:
        await bench.hold(leases)
        waiting = bench.invoke_later()
        await bench.clock.advance(0.5)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert bench.capacity.occupancy == Occupancy(warm=1, starting=1, outstanding=1)

        await bench.clock.advance(1)

        assert bench.capacity.occupancy == Occupancy(warm=2, starting=0, outstanding=1)
        assert (await bench.invoke()).setup_s == 0


async def test_the_next_caller_takes_over_a_start_whose_caller_hung_up() -> None:
    async with started(1, 11, max_concurrency=2) as bench, AsyncExitStack() as leases:
        await bench.hold(leases)
        for _ in range(4):
            impatient = bench.invoke_later()
            await bench.clock.advance(0.4)
            impatient.cancel()
            await asyncio.wait([impatient])

        patient = bench.invoke_later()
        await bench.clock.advance(1)

        assert (await patient).setup_s == pytest.approx(0.4)
        assert len(bench.launcher.processes) == 2


async def test_a_cold_start_that_fails_is_told_and_gives_its_place_back() -> None:
    async with started(1, None, None, None, max_concurrency=1) as bench:
        bench.launcher.processes[0].exit(1)

        invoked = bench.invoke_later()
        await bench.clock.advance(10)

        with pytest.raises(NoInstanceError):
            await invoked
        await bench.invoke()


async def test_a_dead_instance_is_not_lent() -> None:
    async with started() as bench:
        bench.launcher.processes[0].exit(137)
        assert bench.capacity.occupancy.warm == 0

        await bench.invoke()

        assert len(bench.launcher.processes) == 2


async def test_an_instance_that_dies_under_an_invocation_fails_only_that() -> None:
    async with started() as bench:

        async def lose_the_connection() -> None:
            async with bench.capacity.lease():
                bench.launcher.processes[0].exit(-9)
                raise ConnectionLostError

        with pytest.raises(ConnectionLostError):
            await lose_the_connection()
        await bench.invoke()
        assert bench.capacity.invocations == InvocationCount(cold=1, warm=1)


@pytest.mark.parametrize("provisioned", [0, 1])
async def test_an_instance_that_did_not_answer_in_time_is_killed(provisioned: int) -> None:
    async with started(provisioned=provisioned) as bench:
        with pytest.raises(InvocationTimeoutError):
            async with bench.capacity.lease():
                raise InvocationTimeoutError

        assert bench.launcher.processes[0].signals == ["KILL"]


async def test_an_instance_whose_caller_hung_up_is_the_last_to_be_taken_again() -> None:
    async with started(max_concurrency=3) as bench:
        async with bench.capacity.lease():
            await bench.invoke()
        with pytest.raises(asyncio.CancelledError):
            async with bench.capacity.lease() as left:
                raise asyncio.CancelledError

        async with bench.capacity.lease() as first, bench.capacity.lease() as second:
            assert first.instance is not left.instance
            assert second.instance is left.instance


async def test_provisioned_instances_are_there_from_the_start_and_stay() -> None:
    async with started(max_concurrency=3, provisioned=2) as bench, AsyncExitStack() as leases:
        assert len(bench.launcher.alive) == 2
        await bench.clock.advance(IDLE_TIMEOUT_S * 3)

        held = [await bench.hold(leases) for _ in range(2)]

        assert [lease.is_provisioned for lease in held] == [True, True]
        assert held[0].instance is not held[1].instance
        assert len(bench.launcher.processes) == 2


async def test_what_provisioned_instances_cannot_take_spills_over() -> None:
    async with started(max_concurrency=2, provisioned=1) as bench:
        for _ in range(2):
            async with bench.capacity.lease(), bench.capacity.lease() as spilled:
                assert not spilled.is_provisioned

        counted = InvocationCount(cold=1, warm=3, provisioned=2, spilled_over=2)
        assert bench.capacity.invocations == counted


async def test_a_provisioned_instance_that_dies_is_replaced() -> None:
    async with started(provisioned=1) as bench:
        bench.launcher.processes[0].exit(137)
        await eventually(lambda: len(bench.launcher.alive) == 1)
        await bench.clock.advance(1)

        assert (await bench.invoke()).is_provisioned


async def test_the_max_concurrency_changes_in_place() -> None:
    async with started(max_concurrency=1) as bench, AsyncExitStack() as leases:
        await bench.hold(leases)
        wider = variant(max_concurrency=2)

        await bench.capacity.resize(wider)

        assert bench.capacity.variant == wider
        await bench.hold(leases)
        await bench.capacity.resize(variant(max_concurrency=1))
        with pytest.raises(ThrottledError):
            await bench.invoke()
        assert len(bench.launcher.alive) == 2  # nobody was cut off


async def test_the_provisioned_concurrency_changes_in_place() -> None:
    async with started(max_concurrency=2) as bench:
        await bench.capacity.resize(variant(max_concurrency=2, provisioned=2))
        assert (await bench.invoke()).is_provisioned

        await bench.capacity.resize(variant(max_concurrency=2))

        assert not (await bench.invoke()).is_provisioned
        assert len(bench.launcher.alive) == 1


async def test_where_provisioned_instances_do_not_come_up_all_is_as_before() -> None:
    async with started(1, 1, None, None, None, provisioned=1) as bench:
        await bench.invoke()
        bench.launcher.plan = [None, None, None]
        resizing = asyncio.create_task(
            bench.capacity.resize(variant(max_concurrency=9, provisioned=2))
        )

        await bench.clock.advance(10)

        with pytest.raises(PingFailedError):
            await resizing
        assert bench.capacity.variant == bench.variant
        assert len(bench.launcher.alive) == 1


async def test_draining_lets_those_who_wait_be_answered_and_refuses_others() -> None:
    async with started(1, 6, max_concurrency=3) as bench:
        async with bench.capacity.lease():
            waiting = bench.invoke_later()
            await bench.clock.advance(0.4)
            draining = asyncio.create_task(bench.capacity.drain())
            await bench.clock.advance(0)
            with pytest.raises(NoInstanceError):
                await bench.invoke()
            await bench.clock.advance(5)
            assert (await waiting).setup_s > 0
            assert not draining.done()

        await bench.clock.advance(0.1)
        assert draining.done()


async def test_draining_does_not_wait_longer_than_an_invocation_may_take() -> None:
    async with started() as bench, bench.capacity.lease():
        draining = asyncio.create_task(bench.capacity.drain())

        await bench.clock.advance(59)
        assert not draining.done()
        await bench.clock.advance(2)
        assert draining.done()


async def test_all_instances_are_stopped_at_once() -> None:
    async with started(provisioned=1) as bench, AsyncExitStack() as leases:
        await bench.hold(leases)
        spilled = bench.invoke_later()
        await bench.clock.advance(1)
        await spilled
        for process in bench.launcher.processes:
            process.obeys = False

        stopping = asyncio.create_task(bench.capacity.stop())
        await eventually(lambda: bool(bench.launcher.processes[0].signals))

        assert [process.signals for process in bench.launcher.processes] == [["TERM"], ["TERM"]]
        for process in bench.launcher.processes:
            process.exit(0)
        await stopping


async def test_stopping_ends_a_start_and_who_waits_for_it_is_told() -> None:
    bench = Bench(1, _NEVER)
    await bench.capacity.start(startup_timeout_s=180)
    async with bench.capacity.lease():
        waiting = bench.invoke_later()
        await bench.clock.advance(1)

        assert await settled(bench.capacity.stop())

    with pytest.raises(NoInstanceError):
        await waiting
    assert bench.launcher.alive == []
    with pytest.raises(NoInstanceError):
        await bench.invoke()
