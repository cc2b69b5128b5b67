"""CloudWatch Logs: what instances printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from portside.aws.session import Session, explained

_NOT_SHOWN = {"time", "logger"}
"""Of a line of the serving runtime: the first is shown already, the second is for `--json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line: when it was read, the stream (`variant/instance`), the text."""

    time: datetime
    stream: str
    message: str
    event_id: str


def read(session: Session, group: str, *, since_ms: int = 0) -> Iterator[LogLine]:
    """The lines of all streams of a group, oldest first, from a time in epoch milliseconds."""
    with explained("logs", "FilterLogEvents"):
        pages = session.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=since_ms
        )
        for page in pages:
            for event in page["events"]:
                yield LogLine(
                    time=datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
                    stream=event["logStreamName"],
                    message=event["message"],
                    event_id=event["eventId"],
                )


def readable(message: str) -> str:
    """A JSON line of the serving runtime as words; any other line as it is."""
    try:
        fields = json.loads(message)
        level, said = fields.pop("level"), fields.pop("message")
    except (ValueError, KeyError, TypeError, AttributeError):
        return message
    traceback = fields.pop("traceback", "")
    rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in _NOT_SHOWN)
    return f"{level} {said}  {rest}".rstrip() + (f"\n{traceback}" if traceback else "")
