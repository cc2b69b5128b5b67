"""CloudWatch Logs, reading only: what the instances of endpoints printed.

Times are milliseconds. Page tokens are positions; `f/` reads on, `b/` reads
back, and the end of a stream answers the token that it was asked with, which is
how clients notice it (API GetLogEvents).
"""

from __future__ import annotations

import asyncio
from collections import deque
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zlib import crc32

from portside.local.log_filter import parse_pattern
from portside.local.protocol.fault import Fault
from portside.local.resource import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.local.log_store import Event, LogStore
    from portside.local.protocol.call import Call

MAX_EVENTS: Final = 10_000
MAX_PAGE_BYTES: Final = 1024 * 1024
"""Of one answer, each event counted with 26 bytes more. API GetLogEvents, FilterLogEvents."""

_T = TypeVar("_T")

_EVENT_OVERHEAD_BYTES: Final = 26
_DEFAULT_DESCRIBE_LIMIT: Final = 50


class LogService:
    """DescribeLogGroups, DescribeLogStreams, GetLogEvents, FilterLogEvents."""

    def __init__(self, logs: LogStore) -> None:
        self._logs = logs

    async def describe_groups(self, call: Call) -> dict[str, Any]:
        """The groups, by name."""
        return await asyncio.to_thread(self._describe_groups, call)

    async def describe_streams(self, call: Call) -> dict[str, Any]:
        """The streams of a group, by name or by the time of their last event."""
        return await asyncio.to_thread(self._describe_streams, call)

    async def get_events(self, call: Call) -> dict[str, Any]:
        """Events of one stream: the newest that fit, unless told to start from the head."""
        return await asyncio.to_thread(self._get_events, call)

    async def filter_events(self, call: Call) -> dict[str, Any]:
        """Events of many streams that match a pattern, oldest first."""
        return await asyncio.to_thread(self._filter_events, call)

    def _describe_groups(self, call: Call) -> dict[str, Any]:
        params = call.params
        prefix, part = params.get("logGroupNamePrefix", ""), params.get("logGroupNamePattern", "")
        names = [
            name
            for name in self._logs.groups()
            if name.startswith(prefix) and part.lower() in name.lower()
        ]
        page, token = _page(names, params)
        return {"logGroups": [self._group(call, name) for name in page], **token}

    def _group(self, call: Call, name: str) -> dict[str, Any]:
        streams = self._logs.streams(name)
        arn = _group_arn(call, name)
        return {
            "logGroupName": name,
            "creationTime": min((stream.first_time_ms for stream in streams), default=0),
            "metricFilterCount": 0,
            "arn": f"{arn}:*",
            "logGroupArn": arn,
            "logGroupClass": "STANDARD",
            "storedBytes": sum(stream.size_bytes for stream in streams),
        }

    def _describe_streams(self, call: Call) -> dict[str, Any]:
        params = call.params
        group = self._checked_group(call)
        prefix = params.get("logStreamNamePrefix", "")
        streams = [each for each in self._logs.streams(group) if each.name.startswith(prefix)]
        if params.get("orderBy") == "LastEventTime":
            streams.sort(key=lambda stream: stream.last_time_ms)
        if params.get("descending", False):
            streams.reverse()
        page, token = _page(streams, params)
        shown = [
            {
                "logStreamName": stream.name,
                "creationTime": stream.first_time_ms,
                "firstEventTimestamp": stream.first_time_ms,
                "lastEventTimestamp": stream.last_time_ms,
                "lastIngestionTime": stream.last_time_ms,
                "arn": f"{_group_arn(call, group)}:log-stream:{stream.name}",
                "storedBytes": stream.size_bytes,
            }
            for stream in page
        ]
        return {"logStreams": shown, **token}

    def _get_events(self, call: Call) -> dict[str, Any]:
        params = call.params
        group, stream = self._checked_group(call), params["logStreamName"]
        if not self._logs.has_stream(group, stream):
            raise _missing("log stream")
        limit = params.get("limit", MAX_EVENTS)
        direction, position = _read_token(params.get("nextToken"))
        forward = direction == "f" or (direction is None and params.get("startFromHead", False))
        if forward:
            start = position or 0
            events = list(_fitting(self._timely(group, stream, params, start=start), limit))
        else:
            before = _until(self._timely(group, stream, params), position)
            events = _last_fitting(before, limit)
            start = position if position is not None else self._end(group, stream)
        return {
            "events": [
                {"timestamp": each.time_ms, "ingestionTime": each.time_ms, "message": each.message}
                for each in events
            ],
            "nextForwardToken": f"f/{events[-1].end if events else start:056d}",
            "nextBackwardToken": f"b/{events[0].start if events else start:056d}",
        }

    def _filter_events(self, call: Call) -> dict[str, Any]:
        params = call.params
        group = self._checked_group(call)
        matches = parse_pattern(params.get("filterPattern", ""))
        wanted, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix", "")
        names = [
            stream.name
            for stream in self._logs.streams(group)
            if stream.name.startswith(prefix) and (wanted is None or stream.name in wanted)
        ]
        found = merge(
            *(self._named(group, name, params) for name in names), key=lambda each: each[0]
        )
        matching = ((name, event) for _, name, event in found if matches(event.message))
        skipped = _offset(params.get("nextToken"))
        limit = params.get("limit", MAX_EVENTS)
        page = list(islice(matching, skipped, skipped + limit + 1))
        more = {"nextToken": str(skipped + limit)} if len(page) > limit else {}
        return {
            "events": [_filtered_event(name, event) for name, event in page[:limit]],
            "searchedLogStreams": [],
            **more,
        }

    def _named(
        self, group: str, stream: str, params: dict[str, Any]
    ) -> Iterator[tuple[int, str, Event]]:
        for event in self._timely(group, stream, params):
            yield event.time_ms, stream, event

    def _timely(
        self, group: str, stream: str, params: dict[str, Any], *, start: int = 0
    ) -> Iterator[Event]:
        """The events of a stream from startTime on and before endTime."""
        first, end = params.get("startTime"), params.get("endTime")
        for event in self._logs.events(group, stream, start=start):
            if (first is None or event.time_ms >= first) and (end is None or event.time_ms < end):
                yield event

    def _end(self, group: str, stream: str) -> int:
        last = deque(self._logs.events(group, stream), maxlen=1)
        return last[0].end if last else 0

    def _checked_group(self, call: Call) -> str:
        name: str = call.params.get("logGroupName", "")
        identifier: str = call.params.get("logGroupIdentifier", "")
        if bool(name) == bool(identifier):
            raise _invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
        group = name or identifier.partition(":log-group:")[2].removesuffix(":*") or identifier
        if not self._logs.has_group(group):
            raise _missing("log group")
        return group


def _group_arn(call: Call, group: str) -> str:
    return f"arn:{partition_of(call.region)}:logs:{call.region}:{call.account}:log-group:{group}"


def _invalid(message: str) -> Fault:
    return Fault("InvalidParameterException", message)


def _missing(what: str) -> Fault:
    """The words of CloudWatch Logs."""
    return Fault("ResourceNotFoundException", f"The specified {what} does not exist.")


def _page(items: list[_T], params: dict[str, Any]) -> tuple[list[_T], dict[str, str]]:
    start = _offset(params.get("nextToken"))
    end = start + params.get("limit", _DEFAULT_DESCRIBE_LIMIT)
    return items[start:end], {"nextToken": str(end)} if end < len(items) else {}


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 16):
        raise _invalid("The specified nextToken is invalid.")
    return int(token)


def _read_token(token: str | None) -> tuple[str | None, int | None]:
    """The direction and the position of a GetLogEvents token."""
    if token is None:
        return None, None
    direction, _, position = token.partition("/")
    if direction not in {"f", "b"} or not (position.isascii() and position.isdigit()):
        raise _invalid("The specified nextToken is invalid.")
    return direction, int(position)


def _size(event: Event) -> int:
    return len(event.message.encode()) + _EVENT_OVERHEAD_BYTES


def _fitting(events: Iterable[Event], limit: int) -> Iterator[Event]:
    total = 0
    for event in islice(events, limit):
        total += _size(event)
        if total > MAX_PAGE_BYTES:
            return
        yield event


def _last_fitting(events: Iterable[Event], limit: int) -> list[Event]:
    newest_first = reversed(deque(events, maxlen=limit))
    return list(_fitting(newest_first, limit))[::-1]


def _until(events: Iterable[Event], position: int | None) -> Iterator[Event]:
    for event in events:
        if position is not None and event.end > position:
            return
        yield event


def _filtered_event(stream: str, event: Event) -> dict[str, Any]:
    return {
        "logStreamName": stream,
        "timestamp": event.time_ms,
        "ingestionTime": event.time_ms,
        "message": event.message,
        "eventId": f"{event.time_ms:020d}{crc32(stream.encode()):010d}{event.start:026d}",
    }
