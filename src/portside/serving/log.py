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
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson

from portside import contract

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from portside.serving.outcome import Outcome
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

_HEADERS: Final = frozenset(HEADER_BY_FIELD.values())

_REQUESTS: Final = "portside.serving.request"
"""The logger that requests' lines name."""


def request_fields(request_id: str, headers: Mapping[str, str]) -> dict[str, object]:
    """By which a request is found in the log."""
    fields: dict[str, object] = {"request_id": request_id}
    if not _HEADERS.isdisjoint(headers):
        for field, header in HEADER_BY_FIELD.items():
            if value := headers.get(header):
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
    """The lines of requests that have ended."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._line = _terminal_request if self._stream.isatty() else _json_request

    def write(self, ended: Iterable[Outcome]) -> None:
        """A line for each, in one piece."""
        self._stream.write("".join(map(self._line, ended)))
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


def _json_request(outcome: Outcome) -> str:
    at = _timestamp(outcome.at)
    start = {"time": at, "level": "INFO", "logger": _REQUESTS, "message": "request"}
    line = start | _outcome_fields(outcome)
    return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE).decode()


def _terminal_request(outcome: Outcome) -> str:
    return _terminal_line(outcome.at, "INFO", "request", _outcome_fields(outcome)) + "\n"


def _outcome_fields(outcome: Outcome) -> dict[str, object]:
    fields = request_fields(outcome.request_id, outcome.headers) | {
        "path": outcome.path,
        "status": outcome.status,
        "ms": _ms(outcome.total_s),
        "bytes_in": outcome.bytes_in,
        "bytes_out": outcome.bytes_out,
    }
    if outcome.stages is not None:
        decode_s, queue_s, predict_s, encode_s, batch_size, tokens = outcome.stages
        fields |= {
            "decode_ms": _ms(decode_s),
            "queue_ms": _ms(queue_s),
            "predict_ms": _ms(predict_s),
            "encode_ms": _ms(encode_s),
            "batch_size": batch_size,
            "tokens": tokens,
        }
    if outcome.error is not None:
        fields["error"] = outcome.error
    return fields


def _ms(seconds: float) -> float:
    """Milliseconds with three places; three times as fast as `round`."""
    return int(seconds * 1e6) / 1e3


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
            invocation = ticket.invocation
            fields = request_fields(invocation.request_id, invocation.headers)
        case [_, *_] as tickets:
            fields = {"request_ids": [ticket.invocation.request_id for ticket in tickets]}
    return fields | getattr(record, "fields", {})
