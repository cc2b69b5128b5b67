from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from portside.local.instance.instance import HealthCheck, Instance, InstanceSpec
from portside.local.instance.instance_state import MOVES, InstanceEvent, InstanceState
from portside.local.state_machine import IllegalMoveError, transition
from tests.unit.local.state_fakes import REGION, FakeClock, FakeLauncher

S, E = InstanceState, InstanceEvent

ALLOWED = [
    (S.STARTING, E.PING, S.HEALTHY),
    (S.STARTING, E.STOP, S.STOPPING),
    (S.STARTING, E.EXIT, S.FAILED),
    (S.HEALTHY, E.STOP, S.STOPPING),
    (S.HEALTHY, E.EXIT, S.FAILED),
    (S.STOPPING, E.EXIT, S.STOPPED),
]

SPEC = InstanceSpec(
    instance_id="i-1",
    image="image",
    environment={},
    model_dir=Path("/model"),
    region=REGION,
    log_group="group",
    log_stream="stream",
)


@pytest.mark.parametrize(("state", "event", "expected"), ALLOWED)
def test_what_is_allowed(state: S, event: E, expected: S) -> None:
    assert transition(state, event, moves=MOVES) is expected


@pytest.mark.parametrize(
    ("state", "event"),
    [move for move in product(S, E) if move not in {(s, e) for s, e, _ in ALLOWED}],
)
def test_everything_else_is_not(state: S, event: E) -> None:
    with pytest.raises(IllegalMoveError):
        transition(state, event, moves=MOVES)


async def launched(
    launcher: FakeLauncher, clock: FakeClock, *, stop_grace_s: float = 30.0
) -> Instance:
    return Instance(
        await launcher.launch(SPEC),
        instance_id="i-1",
        pinger=launcher,
        clock=clock,
        stop_grace_s=stop_grace_s,
    )


async def test_it_is_pinged_every_fifth_of_a_second_until_healthy() -> None:
    launcher, clock = FakeLauncher(4), FakeClock()
    instance = await launched(launcher, clock)
    begun = clock.monotonic()

    assert await instance.become_healthy(deadline=begun + 10)

    assert instance.state is S.HEALTHY
    assert clock.monotonic() - begun == pytest.approx(0.6)


async def test_it_is_given_up_at_the_deadline() -> None:
    launcher, clock = FakeLauncher(1_000), FakeClock()
    instance = await launched(launcher, clock)

    assert not await instance.become_healthy(deadline=clock.monotonic() + 10)

    assert instance.state is S.STARTING
    await instance.stop()
    assert instance.state is S.STOPPED


async def test_it_fails_when_its_process_ends_first() -> None:
    launcher, clock = FakeLauncher(None), FakeClock()
    instance = await launched(launcher, clock)

    assert not await instance.become_healthy(deadline=clock.monotonic() + 10)

    assert instance.state is S.FAILED


async def test_a_process_that_ends_by_itself_fails_it() -> None:
    launcher, clock = FakeLauncher(), FakeClock()
    instance = await launched(launcher, clock)
    await instance.become_healthy(deadline=clock.monotonic() + 10)

    launcher.processes[0].exit(137)

    assert await instance.exited() == 137
    assert instance.state is S.FAILED


async def test_it_fails_the_health_check_after_so_many_pings_in_a_row() -> None:
    launcher, clock = FakeLauncher(), FakeClock()
    instance = await launched(launcher, clock)
    await instance.become_healthy(deadline=clock.monotonic() + 10)
    begun = clock.monotonic()

    launcher.answers = [False, False, True, False, False, False]
    await instance.unanswering(HealthCheck(period_s=5, failures=3))

    assert clock.monotonic() - begun == pytest.approx(30)
    assert instance.state is S.HEALTHY


async def test_killing_asks_nothing() -> None:
    launcher, clock = FakeLauncher(), FakeClock()
    instance = await launched(launcher, clock)
    await instance.become_healthy(deadline=clock.monotonic() + 10)

    await instance.kill()

    assert launcher.processes[0].signals == ["KILL"]
    assert instance.state is S.STOPPED


async def test_stopping_asks_first() -> None:
    launcher, clock = FakeLauncher(), FakeClock()
    instance = await launched(launcher, clock)

    await instance.stop()
    await instance.stop()

    assert launcher.processes[0].signals == ["TERM"]
    assert instance.state is S.STOPPED


async def test_stopping_kills_what_does_not_obey() -> None:
    launcher, clock = FakeLauncher(), FakeClock()
    instance = await launched(launcher, clock, stop_grace_s=0.01)
    launcher.processes[0].obeys = False

    await instance.stop()

    assert launcher.processes[0].signals == ["TERM", "KILL"]
    assert instance.state is S.STOPPED
