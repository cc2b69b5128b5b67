"""What starting instances say, and whether they will ever start.

    new streams of the endpoint's log group ─▶ lines, each reason once ─▶ who listens
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
_FRAME: Final = re.compile(r"\s+File \"")
_EXCEPTION: Final = re.compile(r"(\w+\.)*\w*(Error|Exception|Interrupt|Exit)\b")
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
            if _weight(said) >= _weight(stream.reason):
                stream.reason = said

    @property
    def reason(self) -> str:
        """The error of an instance that failed; empty where none did."""
        return next((one.reason for one in self._streams.values() if one.reason), "")

    @property
    def failed(self) -> int:
        """How often the instance failed that did so most often."""
        return max((one.failed_starts for one in self._streams.values()), default=0)

    @property
    def is_crash_loop(self) -> bool:
        """Whether an instance has failed so often that it will again."""
        return self.failed >= FAILED_STARTS


@dataclass(slots=True)
class Telling:
    """Chooses the lines that somebody wants to read: of a traceback its end, and nothing twice.

    Starts are alike, so once one has failed only what was not said before is told, and none that
    names its reason again.
    """

    _said: set[str] = field(default_factory=set)
    _frames: dict[str, list[LogLine]] = field(default_factory=dict)
    """By stream: the last frame of a traceback that has not come to its end."""

    def choose(self, line: LogLine, *, reason: str) -> tuple[LogLine, ...]:
        """What to tell now that this line has come; `reason` is that of a start that failed."""
        if line.message.startswith(_TRACEBACK):
            self._frames[line.stream] = []
            return ()
        frame = self._frames.pop(line.stream, None)
        if frame is not None and line.message.startswith((" ", "\t")):
            begins = _FRAME.match(line.message)
            self._frames[line.stream] = [line] if begins else [*frame, line]
            return ()
        sign = _sign(line.message)
        if reason and (sign in self._said or _sign(reason) in sign):
            return ()
        self._said.add(sign)
        return (*(frame or ()), line)


class Startup:
    """The log of an endpoint's new instances; those that were there before are left out.

    `heard` is told what is new in it; `starts` has counted all of it.
    """

    def __init__(
        self, session: Session, endpoint: str, *, since_ms: int, heard: Callable[[LogLine], None]
    ) -> None:
        self.starts = Starts()
        self._session = session
        self._group = contract.LOG_GROUP_PREFIX + endpoint
        self._since_ms = since_ms
        self._heard = heard
        self._telling = Telling()
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
                reason = self.starts.reason
                self.starts.read(line)
                for told in self._telling.choose(line, reason=reason):
                    self._heard(told)


def shortened(text: str) -> str:
    """A line as it is; of a traceback in it the last frame and the end."""
    before, mark, traceback = text.rpartition(_TRACEBACK)
    if not mark:
        return text
    lines = traceback.strip("\n").splitlines()
    frames = [number for number, line in enumerate(lines) if _FRAME.match(line)]
    first = before.partition(_TRACEBACK)[0].rstrip()
    return "\n".join([*filter(None, [first]), *lines[frames[-1] if frames else 0 :]])


def _none_where_missing(ask: Callable[[], list[T]]) -> list[T]:
    """Until an instance has printed its first line there is no log group."""
    try:
        return ask()
    except RemoteError as error:
        if error.code == "ResourceNotFoundException":
            return []
        raise


def _sign(message: str) -> str:
    """What two lines of two starts have in common: no numbers, and so no times, and no ids."""
    return re.sub(r"\b[0-9a-f]{12,}\b|\d+", "0", _words(message))


def _weight(reason: str) -> int:
    """How much it tells: an exception more than another error, and that more than the end."""
    if _EXCEPTION.match(reason):
        return 3
    if not reason:
        return 0
    return 1 if "exited with code" in reason else 2


def _words(message: str) -> str:
    try:
        return f"{json.loads(message)['level']} {json.loads(message)['message']}"
    except (ValueError, TypeError, KeyError, RecursionError):
        return message


def _failure(message: str) -> str:
    """What a line says went wrong; empty where it says nothing of the kind.

    Of a traceback the last line counts, which names the exception.
    """
    lines = logs.readable(message).strip().splitlines()
    if any(_TRACEBACK in line for line in lines[:-1]):
        return lines[-1]
    words = _words(message).strip()
    return words.removeprefix("ERROR ") if _ERROR.search(words) else ""
