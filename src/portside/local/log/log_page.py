"""Pages of log events: what one answer holds, and the tokens that lead on from it.

A token is a number of things passed over (groups and streams), a direction and a
position (the events of one stream), or the place of the last event (of many).
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from portside.local.protocol.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.local.log.log_store import Event

MAX_EVENTS: Final = 10_000
MAX_PAGE_BYTES: Final = 1024 * 1024
"""Of one answer, each event counted with 26 bytes more. API GetLogEvents, FilterLogEvents."""

_EVENT_OVERHEAD_BYTES: Final = 26

TOKEN_DIGITS: Final = 56
"""Of a number in a token, as long as those of CloudWatch Logs."""
_MAX_NUMBER: Final = 2**63 - 1
"""In a token: the last position that a file can have."""


class Place(NamedTuple):
    """Where an event stands among those of many streams; places are in order.

    `time_ms` is the latest time of the stream up to the event, so that a clock that
    was set back changes nothing in the order of one stream.
    """

    time_ms: int
    stream: str
    start: int


BEFORE_ALL: Final = Place(-1, "", -1)


def invalid(message: str) -> Fault:
    """CloudWatch Logs' answer to what it does not like."""
    return Fault("InvalidParameterException", message)


def read_offset(token: str | None) -> int:
    """How many groups or streams were shown before."""
    if token is None:
        return 0
    return _number(token)


def _number(digits: str) -> int:
    """A position or a time out of a token, which may be of somebody's own making."""
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= TOKEN_DIGITS
    if not is_number or int(digits) > _MAX_NUMBER:
        raise invalid("The specified nextToken is invalid.")
    return int(digits)


def read_stream_token(token: str | None) -> tuple[str | None, int | None]:
    """The direction and the position of a GetLogEvents token."""
    if token is None:
        return None, None
    direction, _, position = token.partition("/")
    if direction not in {"f", "b"}:
        raise invalid("The specified nextToken is invalid.")
    return direction, _number(position)


def read_place(token: str | None) -> Place:
    """The place that a FilterLogEvents token names, after which to go on."""
    if token is None:
        return BEFORE_ALL
    time, _, rest = token.partition("/")
    start, _, stream = rest.partition("/")
    return Place(_number(time), stream, _number(start))


def place_token(place: Place) -> str:
    """The token of FilterLogEvents for what comes after a place."""
    return f"{place.time_ms}/{place.start}/{place.stream}"


def _size(event: Event) -> int:
    return len(event.message.encode()) + _EVENT_OVERHEAD_BYTES


def fitting(events: Iterable[Event], limit: int) -> Iterator[Event]:
    """The first of these that one answer holds."""
    total = 0
    for event in islice(events, limit):
        total += _size(event)
        if total > MAX_PAGE_BYTES:
            return
        yield event


def first_fitting(
    placed: Iterable[tuple[Place, Event]], limit: int
) -> tuple[list[tuple[Place, Event]], bool]:
    """The first of these that one answer holds, and whether there are more."""
    page: list[tuple[Place, Event]] = []
    total = 0
    for place, event in placed:
        total += _size(event)
        if len(page) == limit or total > MAX_PAGE_BYTES:
            return page, True
        page.append((place, event))
    return page, False


def last_fitting(events: Iterable[Event], limit: int) -> list[Event]:
    """The last of these that one answer holds, without ever holding more."""
    page: deque[Event] = deque()
    total = 0
    for event in events:
        page.append(event)
        total += _size(event)
        while len(page) > limit or total > MAX_PAGE_BYTES:
            total -= _size(page.popleft())
    return list(page)
