"""An answer on its way to bytes: status, headers, body."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

import orjson

from portside.serving.error import (
    MethodNotAllowedError,
    OverloadedError,
    PredictionFailedError,
    RequestError,
)

_OURS: Final = {"connection", "content-length", "content-type", "date", "transfer-encoding"}
"""Headers that nobody else sets: two lengths, say, and the caller takes a part of the body for the
next answer."""

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")
"""RFC 9110, section 5."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


class Response(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    """Names and values; a name may come twice, as `set-cookie` does."""


def error_response(error: RequestError) -> Response:
    """`{"error": {"code": …, "message": …}}` under the error's status."""
    headers = []
    if isinstance(error, MethodNotAllowedError):
        headers.append(("allow", error.allow))
    if isinstance(error, OverloadedError):
        headers.append(("retry-after", str(error.retry_after_s)))
    body = orjson.dumps({"error": {"code": error.code, "message": error.message}})
    return Response(
        status=error.status, body=body, content_type="application/json", headers=headers
    )


def head_of(response: Response, framing: bytes, keeps_alive: bool) -> bytes:
    """The bytes before the body; raises PredictionFailedError for headers that cannot be sent."""
    start = _start_of(response.status, response.content_type)
    date = _date(int(time.time()))
    closing = b"\r\n" if keeps_alive else b"connection: close\r\n\r\n"
    if not response.headers:
        return start + date + framing + closing
    others = [_line(*pair) for pair in response.headers if pair[0].lower() not in _OURS]
    return b"".join([start, date, framing, *others, closing])


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    """In the form of RFC 9110, section 5.6.7; `strftime` would write it in the user's language."""
    year, month, day, hour, minute, at, weekday, *_ = time.gmtime(second)
    text = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{at:02}"
    return f"date: {text} GMT\r\n".encode("ascii")


@lru_cache(maxsize=256)
def _start_of(status: int, content_type: str | None) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    start = f"HTTP/1.1 {status} {phrase}\r\n".encode("latin-1")
    return start if content_type is None else start + _line("content-type", content_type)


def _line(name: str, value: str) -> bytes:
    """A header; line breaks in it, through which a handler could forge others, are refused."""
    line = f"{name}: {value}"
    if _HEADER.fullmatch(line) is None:
        raise PredictionFailedError(
            f"cannot send the header {line!r}: it holds other characters than a header may"
        )
    return f"{line}\r\n".encode("latin-1")
