"""What the user's function returned, as an answer.

    (body, content_type)     sent as it is, if the body is text or bytes
    bytes                    sent as they are
    an iterator              streamed: text and bytes as they are, other values as JSON lines
    anything else            written by a codec, in the type that `Accept` asks for

Where a codec writes, an `Accept` that no codec can meet is 406; everywhere else
the user's code knows best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from portside.serving import codecs
from portside.serving.codecs import JSON, json_lines
from portside.serving.codecs.media_type import parse_accept
from portside.serving.invocation import Answer

_BYTES: Final = "application/octet-stream"
_TEXT: Final = "text/plain; charset=utf-8"
_JSON_LINES: Final = json_lines.NAMES[0]
_NO_HEADERS: Final[Mapping[str, str]] = {}


def make_answer(
    result: object,
    *,
    accept: str | None,
    default_accept: str = JSON,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Answer:
    """The answer to a caller who sent `accept`; 406 if it leaves out all that can be written.

    A content type among `headers` is taken in place of what the caller wants.
    """
    if headers:
        headers, own_type = split_content_type(headers)
        if own_type is not None:
            accept = own_type
            result = (result, own_type) if isinstance(result, str) else result
    match result:
        case list() | dict():  # first, because most are; whether something iterates takes longer
            return _written(result, accept, default_accept, headers)
        # Two words that a model predicted are no body with its type.
        case tuple((str() | bytes() | bytearray() as body, str(content_type))) if (
            "/" in content_type
        ):
            body = body.encode() if isinstance(body, str) else bytes(body)
            return Answer(body=body, content_type=content_type, headers=headers)
        case bytes() | bytearray() | memoryview():
            content_type = preferred_type(accept) or _BYTES
            return Answer(body=bytes(result), content_type=content_type, headers=headers)
        case Iterator():
            return _stream(result, accept=accept, headers=headers)
        case _:
            return _written(result, accept, default_accept, headers)


def _written(
    result: object, accept: str | None, default_accept: str, headers: Mapping[str, str]
) -> Answer:
    content_type = codecs.choose(accept, default=default_accept)
    body = codecs.encode(result, content_type, default=default_accept)
    return Answer(body, content_type, headers)


def split_content_type(headers: Mapping[str, str]) -> tuple[Mapping[str, str], str | None]:
    """Headers without `Content-Type`, and its value, where the user's code has set it."""
    others = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    own = [value for name, value in headers.items() if name not in others]
    return others, own[-1] if own else None


@lru_cache(128)
def preferred_type(accept: str | None) -> str | None:
    """The one type that an `Accept` header wants most, or None if it leaves that open.

    Of equals it is the first; parameters are left out.
    """
    ranges = [found for found in parse_accept(accept or "") if found.quality > 0]
    if not ranges:
        return None
    # max() keeps the first of equals.
    wanted = max(ranges, key=lambda found: found.quality).media_type.name
    return None if "*" in wanted else wanted


# --- Streams --------------------------------------------------------------------


def _stream(values: Iterator[object], *, accept: str | None, headers: Mapping[str, str]) -> Answer:
    """Waits for the first value: it tells the type, and if it fails there is a status to send."""
    first = next(values, "")
    wanted = preferred_type(accept)
    match first:
        case str():
            content_type = wanted or _TEXT
        case bytes() | bytearray() | memoryview():
            content_type = wanted or _BYTES
        case _:
            content_type = wanted if wanted in json_lines.NAMES else _JSON_LINES
    return Answer(body=_chunks(first, values), content_type=content_type, headers=headers)


def _chunks(first: object, values: Iterator[object]) -> Iterator[bytes]:
    try:
        yield _chunk(first)
        for value in values:
            yield _chunk(value)
    finally:
        # The caller may hang up in the middle; what the user's generator holds is given back.
        close: Any = getattr(values, "close", None)
        if close is not None:
            close()


def _chunk(value: object) -> bytes:
    match value:
        case str():
            return value.encode()
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case _:
            return codecs.encode(value, JSON) + b"\n"
