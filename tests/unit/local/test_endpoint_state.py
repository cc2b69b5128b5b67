from __future__ import annotations

from itertools import product

import pytest

from portside.local.state.endpoint_state import (
    MOVES,
    EndpointEvent,
    EndpointStatus,
)
from portside.local.state_machine import IllegalMoveError, transition

S, E = EndpointStatus, EndpointEvent

ALLOWED = [
    (S.CREATING, E.HEALTHY, S.IN_SERVICE),
    (S.CREATING, E.UNHEALTHY, S.FAILED),
    (S.CREATING, E.RESTART, S.CREATING),
    (S.IN_SERVICE, E.UPDATE, S.UPDATING),
    (S.IN_SERVICE, E.DELETE, S.DELETING),
    (S.IN_SERVICE, E.RESTART, S.SYSTEM_UPDATING),
    (S.UPDATING, E.HEALTHY, S.IN_SERVICE),
    (S.UPDATING, E.UNHEALTHY, S.IN_SERVICE),
    (S.UPDATING, E.RESTART, S.SYSTEM_UPDATING),
    (S.UPDATING, E.ROLL_BACK, S.ROLLING_BACK),
    (S.ROLLING_BACK, E.HEALTHY, S.IN_SERVICE),
    (S.ROLLING_BACK, E.UNHEALTHY, S.IN_SERVICE),
    (S.ROLLING_BACK, E.RESTART, S.SYSTEM_UPDATING),
    (S.SYSTEM_UPDATING, E.HEALTHY, S.IN_SERVICE),
    (S.SYSTEM_UPDATING, E.UNHEALTHY, S.FAILED),
    (S.SYSTEM_UPDATING, E.RESTART, S.SYSTEM_UPDATING),
    (S.DELETING, E.RESTART, S.DELETING),
    (S.FAILED, E.DELETE, S.DELETING),
    (S.FAILED, E.RESTART, S.FAILED),
]


@pytest.mark.parametrize(("status", "event", "expected"), ALLOWED)
def test_what_is_allowed(status: S, event: E, expected: S) -> None:
    assert transition(status, event, moves=MOVES) is expected


@pytest.mark.parametrize(
    ("status", "event"),
    [move for move in product(S, E) if move not in {(s, e) for s, e, _ in ALLOWED}],
)
def test_everything_else_is_not(status: S, event: E) -> None:
    with pytest.raises(IllegalMoveError):
        transition(status, event, moves=MOVES)


def test_every_state_survives_a_restart() -> None:
    assert all((status, E.RESTART) in MOVES for status in S)


def test_nothing_can_be_asked_for_while_something_is_done() -> None:
    asked = {E.UPDATE, E.DELETE}
    assert not [s for s, e in MOVES if e in asked and s.is_in_progress]
