"""JSON lines: one JSON value a line, as batch transform splits and joins them.

A list is written line by line, anything else as one line. What a line can hold, and what
becomes of NaN, is told in `json_text`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from portside.serving.codecs import json_text
from portside.serving.codecs.media_type import MediaType
from portside.serving.codecs.result import plain
from portside.serving.error import InvalidBodyError, PredictionFailedError

_OPTIONS: Final = json_text.OPTIONS | orjson.OPT_APPEND_NEWLINE

NAMES: Final = (
    "application/jsonlines",
    "application/jsonl",
    "application/x-jsonlines",
    "application/x-ndjson",
)
"""SageMaker's own first. None of them is registered."""


def read(body: bytes, media_type: MediaType) -> list[object]:
    """The values of the lines; blank lines are passed over."""
    lines = json_text.in_utf_8(body, media_type).split(b"\n")
    values = [_read_line(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    if not values:
        raise InvalidBodyError("the body is empty; send a JSON value a line")
    return values


def _read_line(line: bytes, number: int) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidBodyError(f"line {number} of the body is not JSON: {error}") from error


def write(value: object, _media_type: MediaType) -> bytes:
    """A result, each line with a newline at its end."""
    try:
        lines = [orjson.dumps(item, plain, _OPTIONS) for item in _items(value)]
    except orjson.JSONEncodeError as error:
        raise PredictionFailedError(f"cannot write the result as JSON lines: {error}") from error
    body = b"".join(lines)
    json_text.check_finite(value, body)
    return body


def _items(value: object) -> Iterable[object]:
    is_array = hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0
    if isinstance(value, list | tuple) or (is_array and isinstance(value, Iterable)):
        return value
    return (value,)
