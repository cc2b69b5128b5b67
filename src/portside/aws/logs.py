"""CloudWatch Logs: what instances printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import TYPE_CHECKING, Any

from portside.aws.session import Session, explained

if TYPE_CHECKING:
    from mypy_boto3_logs.type_defs import OutputLogEventTypeDef

_NOT_SHOWN = {"time", "logger"}
"""Of a line of the serving runtime: the first is shown already, the second is for `--json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line: when it was read, the stream (`variant/instance`), the text.

    `event_id` is empty in lines of `tail`: GetLogEvents tells none.
    """

    time: datetime
    stream: str
    message: str
    event_id: str = ""


def read(
    session: Session, group: str, *, since_ms: int = 0, pattern: str = "", stream: str = ""
) -> Iterator[LogLine]:
    """The lines of a group, oldest first, from a time in epoch milliseconds.

    `pattern` is CloudWatch's own filter pattern; without a `stream`, all are read.
    """
    narrowed: dict[str, Any] = {"logStreamNames": [stream]} if stream else {}
    if pattern:
        narrowed["filterPattern"] = pattern
    with explained("logs", "FilterLogEvents"):
        pages = session.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=since_ms, **narrowed
        )
        for page in pages:
            for event in page["events"]:
                yield LogLine(
                    time=_moment(event["timestamp"]),
                    stream=event["logStreamName"],
                    message=event["message"],
                    event_id=event["eventId"],
                )


def list_streams(session: Session, group: str, *, count: int) -> list[str]:
    """The streams that were written to last, newest first."""
    with explained("logs", "DescribeLogStreams"):
        found = session.logs.describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True, limit=count
        )
    return [stream["logStreamName"] for stream in found["logStreams"]]


def tail(session: Session, group: str, *, streams: Sequence[str], count: int) -> list[LogLine]:
    """The newest lines of some streams together, oldest of them first."""
    with explained("logs", "GetLogEvents"):
        lines = [
            [
                LogLine(time=_moment(event["timestamp"]), stream=stream, message=event["message"])
                for event in _newest(session, group, stream=stream, count=count)
            ]
            for stream in streams
        ]
    return list(merge(*lines, key=lambda line: line.time))[-count:]


def readable(message: str) -> str:
    """A JSON line of the serving runtime as words; any other line as it is."""
    try:
        fields = json.loads(message)
        level, said = fields.pop("level"), fields.pop("message")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return message
    traceback = fields.pop("traceback", "")
    rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in _NOT_SHOWN)
    return f"{level} {said}  {rest}".rstrip() + (f"\n{traceback}" if traceback else "")


def _newest(
    session: Session, group: str, *, stream: str, count: int
) -> list[OutputLogEventTypeDef]:
    """The last events of a stream.

    A page may be empty with more behind it; the end is where the token stays the same.
    Source: API Reference of CloudWatch Logs, GetLogEvents.
    """
    page = session.logs.get_log_events(logGroupName=group, logStreamName=stream, limit=count)
    before = ""
    while not page["events"] and page["nextBackwardToken"] != before:
        before = page["nextBackwardToken"]
        page = session.logs.get_log_events(
            logGroupName=group, logStreamName=stream, limit=count, nextToken=before
        )
    return page["events"]


def _moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
