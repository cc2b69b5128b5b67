"""What starting instances say, and whether they will ever start.

    new streams of the endpoint's log group ─▶ lines, as they come
                                            └─▶ blocks, one a start ─▶ the same end again and again

SageMaker starts a container that ended anew, in the same stream, until its time is up (eight
minutes, and as long again for a slow download), and then says no more than that it did not
answer `/ping`. A crash loop shows much earlier: the first line of a stream comes again and
again, with an error after it each time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from portside import contract
from portside.aws import logs
from portside.aws.logs import LogLine
from portside.aws.session import Session
from portside.errors import RemoteError

T = TypeVar("T")

FAILED_STARTS: Final = 3
"""Of one instance, after which another is not waited for."""

_MOST_STREAMS: Final = 50
"""API Reference of CloudWatch Logs, DescribeLogStreams."""

_LATE_MS: Final = 60_000
"""By which a line may come after one that is newer: streams reach CloudWatch each in its own time.
An assumption."""

_TRACEBACK: Final = "Traceback (most recent call last):"
_ERROR: Final = re.compile(
    r"^(\w+\.)*\w*(Error|Exception)\b|\b(ERROR|CRITICAL|FATAL)\b|exited with code|exec format error"
    r"|Segmentation fault|^Killed|Out of memory"
)


@dataclass(slots=True)
class _Stream:
    """One instance, from its first line on."""

    first: str
    failed_starts: int = 0
    has_failed: bool = False
    """In the start that is going on."""
    reason: str = ""


@dataclass(slots=True)
class Starts:
    """Counts starts of instances by their lines; `reason` is what the last failure said."""

    _streams: dict[str, _Stream] = field(default_factory=dict)

    def read(self, line: LogLine) -> None:
        """Take in one line, in the order of time."""
        sign = _sign(line.message)
        stream = self._streams.setdefault(line.stream, _Stream(first=sign))
        if sign == stream.first:
            stream.has_failed = False
        if said := _failure(line.message):
            stream.failed_starts += not stream.has_failed
            stream.has_failed = True
            if "exited with code" not in said or not stream.reason:
                stream.reason = said

    @property
    def reason(self) -> str:
        """The error of an instance that failed; empty where none did."""
        return next((one.reason for one in self._streams.values() if one.reason), "")

    @property
    def is_crash_loop(self) -> bool:
        """Whether an instance has failed so often that it will again."""
        return any(one.failed_starts >= FAILED_STARTS for one in self._streams.values())


class Startup:
    """The log of an endpoint's new instances; those that were there before are left out."""

    def __init__(
        self, session: Session, endpoint: str, *, since_ms: int, heard: Callable[[LogLine], None]
    ) -> None:
        self.starts = Starts()
        self._session = session
        self._group = contract.LOG_GROUP_PREFIX + endpoint
        self._since_ms = since_ms
        self._heard = heard
        self._seen: set[str] = set()
        self._old = frozenset(
            _none_where_missing(
                lambda: logs.list_streams(session, self._group, count=_MOST_STREAMS)
            )
        )

    def look(self) -> None:
        """Read what was printed since the last look; what the old fleet says may be much."""
        lines = _none_where_missing(
            lambda: list(logs.read(self._session, self._group, since_ms=self._since_ms))
        )
        for line in lines:
            newest_ms = int(1000 * line.time.timestamp())
            self._since_ms = max(self._since_ms, newest_ms - _LATE_MS)
            if line.event_id not in self._seen and line.stream not in self._old:
                self._seen.add(line.event_id)
                self.starts.read(line)
                self._heard(line)


def _none_where_missing(ask: Callable[[], list[T]]) -> list[T]:
    """Until an instance has printed its first line there is no log group."""
    try:
        return ask()
    except RemoteError as error:
        if error.code == "ResourceNotFoundException":
            return []
        raise


def _sign(message: str) -> str:
    """What two lines of two starts have in common: no numbers, and so no times."""
    return re.sub(r"\d+", "0", _words(message))


def _words(message: str) -> str:
    try:
        return f"{json.loads(message)['level']} {json.loads(message)['message']}"
    except (ValueError, TypeError, KeyError, RecursionError):
        return message


def _failure(message: str) -> str:
    """What a line says went wrong; empty where it says nothing of the kind.

    Of a traceback the last line counts, which names the exception.
    """
    text = logs.readable(message).strip()
    lines = text.splitlines()
    if len(lines) > 1 and _TRACEBACK in text:
        return lines[-1]
    return text if _ERROR.search(_words(message)) else ""
