"""JSON (RFC 8259), read and written by orjson.

Written: what JSON has, and besides it dataclasses, enums, dates, UUIDs, `Decimal` (as a
number), numbers and arrays of numpy, and what `result.plain` takes apart. Keys that are
not strings are written as strings. Not written: sets, which have no order, and bytes.

NaN and the infinities do not exist in JSON. Writing `null` in their place would hide a
broken model, so they are refused: the caller gets a 500 that names the place.
"""

from __future__ import annotations

from typing import Final

import orjson

from portside.serving.codecs import charset
from portside.serving.codecs.media_type import MediaType
from portside.serving.codecs.result import find_non_finite, plain
from portside.serving.error import InvalidBodyError, PredictionFailedError

OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def read(body: bytes, media_type: MediaType) -> object:
    """The value of a JSON text."""
    document = in_utf_8(body, media_type)
    if not document:
        raise InvalidBodyError("the body is empty; send JSON")
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise InvalidBodyError(f"the body is not JSON: {error}") from error


def in_utf_8(body: bytes, media_type: MediaType) -> bytes:
    """A body without its byte order mark in the charset that JSON has (RFC 8259, section 8.1)."""
    if media_type.charset != charset.UTF_8:
        body = charset.decode(body, media_type.charset).encode()
    return body.removeprefix(_BYTE_ORDER_MARK)


def write(value: object, _media_type: MediaType) -> bytes:
    """A result in UTF-8, whatever charset was asked for: JSON has no other."""
    try:
        body = orjson.dumps(value, plain, OPTIONS)
    except orjson.JSONEncodeError as error:
        raise PredictionFailedError(f"cannot write the result as JSON: {error}") from error
    check_finite(value, body)
    return body


def check_finite(value: object, body: bytes) -> None:
    """Refuse a result with a NaN in it, which orjson wrote as `null`."""
    # `in` would take twice as long: it first tries whether `b"null"` is a number.
    if body.find(b"null") != -1 and (place := find_non_finite(value)) is not None:
        raise PredictionFailedError(
            f"cannot write the result as JSON: `result{place}` is NaN or infinite"
        )
