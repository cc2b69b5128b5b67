"""A state machine is a table: where each event leads from each state, and no move besides."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

_State = TypeVar("_State", bound=StrEnum)
_Event = TypeVar("_Event", bound=StrEnum)


class IllegalMoveError(Exception):
    """An event came in a state that does not allow it: a bug, because callers ask first."""


def transition(
    state: _State, event: _Event, *, moves: Mapping[tuple[_State, _Event], _State]
) -> _State:
    """Where an event leads; raises `IllegalMoveError`."""
    try:
        return moves[state, event]
    except KeyError as error:
        kind = type(state).__name__
        raise IllegalMoveError(f"{kind} {state} cannot take: {event}") from error
