"""Time as a collaborator, so that tests decide what hour it is and nobody waits."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the local SageMaker knows of time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, for what is stored and shown."""
        ...

    def monotonic(self) -> float:
        """Seconds from some start, never backwards, for deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from some start, never backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def moment(ms: int) -> datetime:
    """The instant as an operation's output holds it: an aware datetime in UTC."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def milliseconds(instant: datetime) -> int:
    """The instant as the store holds it."""
    return round(instant.timestamp() * 1000)
