"""Sticky sessions: invocations that have to reach the instance that knows them.

    NEW_SESSION ─▶ any instance ─▶ its answer names id and end ─▶ kept here
    id ─▶ that instance, while it lives ─▶ its answer closes the session ─▶ forgotten

The instance makes the id and keeps what the session is about; here is only where it lives.
So a session ends with its instance. Source: DG stateful-sessions.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from portside.contract import HEADER_CLOSED_SESSION_ID, HEADER_NEW_SESSION_ID, HEADER_SESSION_ID
from portside.local.capacity.capacity import Lease, NoInstanceError
from portside.local.clock import milliseconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from portside.local.capacity.capacity import Capacity
    from portside.local.clock import Clock
    from portside.local.instance.instance import Instance

NEW_SESSION: Final = "NEW_SESSION"
"""In place of an id, asks for one. BC InvokeEndpointInput.SessionId."""

_ID: Final = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9])*")
"""BC SessionIdHeader."""
_OPENED: Final = re.compile(rf"(?P<id>{_ID.pattern});\s*Expires=(?P<end>[0-9T:Z-]+)")
"""BC NewSessionResponseHeader."""
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a session lives."""

    capacity: Capacity
    instance: Instance

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """That instance for one invocation; raises `NoInstanceError` when it is lost.

        One that is being drained still answers the sessions that it has.
        """
        if not self.instance.can_serve:
            raise NoInstanceError
        self.instance.outstanding += 1
        self.instance.served += 1
        try:
            yield Lease(instance=self.instance)
        finally:
            self.instance.outstanding -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What an instance said of a session that it began."""

    session_id: str
    expires_ms: int

    @property
    def header(self) -> str:
        """As the caller gets it, in the one form of BC NewSessionResponseHeader."""
        end = datetime.fromtimestamp(self.expires_ms / 1000, UTC)
        return f"{self.session_id}; Expires={end.strftime(_TIME)}"


def read_opened(headers: Mapping[str, str]) -> Opened | None:
    """The session that an answer opens.

    The documentation names one header for it (DG stateful-sessions), AWS's own container
    library sends the other (aws/model-hosting-container-standards): either will do.
    """
    for name in (HEADER_NEW_SESSION_ID, HEADER_SESSION_ID):
        found = _OPENED.fullmatch(headers.get(name, ""))
        if found is None:
            continue
        try:
            end = datetime.strptime(found["end"], _TIME).replace(tzinfo=UTC)
        except ValueError:
            continue
        return Opened(session_id=found["id"], expires_ms=milliseconds(end))
    return None


def read_closed(headers: Mapping[str, str]) -> str | None:
    """The session that an answer closes."""
    session_id = headers.get(HEADER_CLOSED_SESSION_ID, "")
    return session_id if _ID.fullmatch(session_id) else None


class SessionTable:
    """The sessions of all endpoints, by endpoint and id."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._places: dict[tuple[str, str], tuple[Place, int]] = {}

    def open(self, arn: str, opened: Opened, place: Place) -> None:
        """Keep where a session lives."""
        now_ms = self._clock.now_ms()
        self._places = {key: kept for key, kept in self._places.items() if kept[1] > now_ms}
        self._places[arn, opened.session_id] = place, opened.expires_ms

    def find(self, arn: str, session_id: str) -> Place | None:
        """Where it lives; None where there is no such session, or not any more."""
        place, expires_ms = self._places.get((arn, session_id), (None, 0))
        return place if expires_ms > self._clock.now_ms() else None

    def close(self, arn: str, session_id: str) -> None:
        """Forget it."""
        self._places.pop((arn, session_id), None)
