"""CloudWatch Logs: what instances printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from portside.aws.session import Session, explained


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
