"""The instance's log: one JSON object a line on stdout, or plain lines on a terminal.

SageMaker sends stdout to CloudWatch line by line, so a traceback stays inside
its line. What the user's code logs goes the same way, and whatever is logged
while requests are worked on carries their ids. The one line that each request
gets at its end is collected and written a few times a second with its like.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson

from portside import contract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portside.serving.invocation import Invocation
    from portside.serving.ticket import Ticket

current: ContextVar[Sequence[Ticket]] = ContextVar("current", default=())
"""The requests that this thread works on: one, or all those of a batch."""

HEADER_BY_FIELD: Final = {
    "inference_id": contract.HEADER_INFERENCE_ID.lower(),
    "trace_id": contract.HEADER_TRACE_ID.lower(),
    "custom_attributes": contract.HEADER_CUSTOM_ATTRIBUTES.lower(),
    "session_id": contract.HEADER_SESSION_ID.lower(),
    "target_model": contract.HEADER_TARGET_MODEL.lower(),
}
"""What SageMaker passes along, and a reader of the log looks for."""

_REQUESTS: Final = "portside.serving.request"
"""The logger that requests' lines name."""


def request_fields(invocation: Invocation) -> dict[str, object]:
    """By which a request is found in the log."""
    fields: dict[str, object] = {"request_id": invocation.request_id}
    for field, header in HEADER_BY_FIELD.items():
        if value := invocation.headers.get(header):
            fields[field] = value
    return fields


class JsonFormatter(logging.Formatter):
    """A record as one JSON object; `extra={"fields": {...}}` adds fields to it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TerminalFormatter(logging.Formatter):
    """The same for people: time, level, message, fields; a traceback on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = _terminal_line(
            record.created, record.levelname, record.getMessage(), _fields(record)
        )
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class RequestLog:
    """The lines of requests that have ended; written by `flush`, many at a time."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._lines: list[tuple[float, dict[str, object]]] = []
        self._line = _terminal_request if self._stream.isatty() else _json_request

    def add(self, fields: dict[str, object]) -> None:
        """Let a request's line wait for the next flush."""
        self._lines.append((time.time(), fields))

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._lines:
            lines, self._lines = self._lines, []
            self._stream.write("".join([self._line(at, fields) for at, fields in lines]))
            self._stream.flush()


def configure(stream: TextIO) -> None:
    """Send every logger's records of INFO and above to `stream`, and each line of it at once."""
    if isinstance(stream, TextIOWrapper):
        # What the user's code prints would otherwise wait until a block is full, and raise where
        # the container's locale knows no such letter.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TerminalFormatter() if stream.isatty() else JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _json_request(at: float, fields: dict[str, object]) -> str:
    start = {"time": _timestamp(at), "level": "INFO", "logger": _REQUESTS, "message": "request"}
    return orjson.dumps(start | fields, default=str, option=orjson.OPT_APPEND_NEWLINE).decode()


def _terminal_request(at: float, fields: dict[str, object]) -> str:
    return _terminal_line(at, "INFO", "request", fields) + "\n"


def _terminal_line(at: float, level: str, message: str, fields: dict[str, object]) -> str:
    clock = datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
    return f"{clock} {level:<7} {message}" + "".join(
        f" {name}={value}" for name, value in fields.items()
    )


def _timestamp(at: float) -> str:
    """UTC, in milliseconds, such as `2026-11-22T10:00:00.123Z`."""
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    match current.get():
        case [ticket]:
            fields = request_fields(ticket.invocation)
        case [_, *_] as tickets:
            fields = {"request_ids": [ticket.invocation.request_id for ticket in tickets]}
    return fields | getattr(record, "fields", {})
