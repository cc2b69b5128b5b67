"""CloudWatch Logs, reading only: what the instances of endpoints printed.

Times are milliseconds. Of one stream a token `f/…` reads on and `b/…` reads back, and
the end answers the token that it was asked with, which is how clients notice it
(API GetLogEvents); the last page of everything else has none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from heapq import merge
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zlib import crc32

from portside.local.log.log_filter import parse_pattern
from portside.local.log.log_page import (
    MAX_EVENTS,
    TOKEN_DIGITS,
    Place,
    first_fitting,
    fitting,
    invalid,
    last_fitting,
    place_token,
    read_offset,
    read_place,
    read_stream_token,
)
from portside.local.protocol.fault import Fault
from portside.local.state.resource import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.local.log.log_store import Event, LogStore
    from portside.local.protocol.call import Call

_T = TypeVar("_T")

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
        direction, position = read_stream_token(params.get("nextToken"))
        forward = direction == "f" or (direction is None and params.get("startFromHead", False))
        if forward:
            start = position or 0
            events = list(fitting(self._timely(group, stream, params, start=start), limit))
        else:
            before = _until(self._timely(group, stream, params), position)
            events = last_fitting(before, limit)
            start = position if position is not None else self._end(group, stream)
        return {
            "events": [
                {"timestamp": each.time_ms, "ingestionTime": each.time_ms, "message": each.message}
                for each in events
            ],
            "nextForwardToken": f"f/{events[-1].end if events else start:0{TOKEN_DIGITS}d}",
            "nextBackwardToken": f"b/{events[0].start if events else start:0{TOKEN_DIGITS}d}",
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
        after = read_place(params.get("nextToken"))
        limit = params.get("limit", MAX_EVENTS)
        page: list[tuple[Place, Event]] = []
        is_cut = False
        # One stream after the other, so that one file is open, however many there are. What
        # an earlier stream had beyond the page stays beyond it whatever a later one adds.
        for name in names:
            matching = (
                (place, event)
                for place, event in self._placed(group, name, params)
                if place > after and matches(event.message)
            )
            both = merge(page, matching, key=lambda each: each[0])
            page, was_cut = first_fitting(both, limit)
            is_cut = is_cut or was_cut
        return {
            "events": [_filtered_event(place.stream, event) for place, event in page],
            "searchedLogStreams": [],
            **({"nextToken": place_token(page[-1][0])} if is_cut else {}),
        }

    def _placed(
        self, group: str, stream: str, params: dict[str, Any]
    ) -> Iterator[tuple[Place, Event]]:
        latest_ms = 0
        for event in self._timely(group, stream, params):
            latest_ms = max(latest_ms, event.time_ms)
            yield Place(latest_ms, stream, event.start), event

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
            raise invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
        group = name or identifier.partition(":log-group:")[2].removesuffix(":*") or identifier
        if not self._logs.has_group(group):
            raise _missing("log group")
        return group


def _group_arn(call: Call, group: str) -> str:
    return f"arn:{partition_of(call.region)}:logs:{call.region}:{call.account}:log-group:{group}"


def _missing(what: str) -> Fault:
    """The words of CloudWatch Logs."""
    return Fault("ResourceNotFoundException", f"The specified {what} does not exist.")


def _page(items: list[_T], params: dict[str, Any]) -> tuple[list[_T], dict[str, str]]:
    start = read_offset(params.get("nextToken"))
    end = start + params.get("limit", _DEFAULT_DESCRIBE_LIMIT)
    return items[start:end], {"nextToken": str(end)} if end < len(items) else {}


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
