"""Content type to value and back; for now JSON in and JSON out.

Written: what JSON has, and besides it dataclasses, dates, numbers and arrays of
numpy, and anything with a `tolist()` method (torch tensors). Keys that are not
strings are written as strings.

NaN and the infinities do not exist in JSON. Writing `null` in their place would
hide a broken model, so they are refused: the caller gets a 500 and the log names
the place.
"""

from __future__ import annotations

import math
from dataclasses import asdict, is_dataclass
from typing import Final

import orjson

from portside.serving.error import (
    InvalidBodyError,
    NotAcceptableError,
    PredictionFailedError,
    UnsupportedMediaTypeError,
)

JSON: Final = "application/json"

_ACCEPTABLE: Final = (JSON, "application/*", "*/*")
"""What a caller may name to accept JSON, the most specific first."""

_JSON_CHARSETS: Final = {"utf-8", "utf8", "us-ascii", "ascii"}
"""JSON is UTF-8 (RFC 8259, section 8.1); a client may still say so, or name its subset."""


def check_content_type(header: str | None) -> None:
    """Refuse a body that is not JSON by its `Content-Type`; without the header it is taken as JSON.

    boto3 sends no `Content-Type` unless told to.
    """
    if header is None or not header.strip():
        return
    media_type, parameters = _split_parameters(header)
    if media_type != JSON:
        raise UnsupportedMediaTypeError(f"cannot read `{media_type}`; send JSON as `{JSON}`")
    charset = parameters.get("charset", "utf-8")
    if charset not in _JSON_CHARSETS:
        raise UnsupportedMediaTypeError(
            f"cannot read JSON in the charset `{charset}`; send it in UTF-8"
        )


def check_accept(header: str | None) -> None:
    """Refuse a request whose `Accept` leaves out JSON (RFC 9110, section 12.5.1).

    The most specific range decides, so `application/json;q=0, */*` excludes JSON.
    """
    if header is None or not header.strip():
        return
    qualities = dict(_media_range(part) for part in header.split(","))
    decisive = next((qualities[name] for name in _ACCEPTABLE if name in qualities), 0.0)
    if decisive <= 0:
        raise NotAcceptableError(f"cannot write `{header}`; accept `{JSON}`")


def decode(body: bytes) -> object:
    """The value of a JSON body."""
    if not body:
        raise InvalidBodyError("the body is empty; send JSON")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidBodyError(f"the body is not JSON: {error}") from error


def encode(value: object) -> bytes:
    """A handler's result as JSON in UTF-8."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    try:
        body = orjson.dumps(value, default=_plain, option=options)
    except orjson.JSONEncodeError as error:
        raise PredictionFailedError(
            f"cannot write the result of `predict` as JSON: {error}"
        ) from error
    # orjson writes NaN as null, so only a result with a null in it has to be searched.
    if b"null" in body and (place := _non_finite(value)) is not None:
        raise PredictionFailedError(
            f"cannot write the result of `predict` as JSON: `result{place}` is NaN or infinite"
        )
    return body


def _split_parameters(header: str) -> tuple[str, dict[str, str]]:
    """`text/csv; charset="UTF-8"` as `text/csv` and `{"charset": "utf-8"}`."""
    media_type, *parts = header.lower().split(";")
    pairs = (part.partition("=") for part in parts)
    return media_type.strip(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _media_range(part: str) -> tuple[str, float]:
    media_type, parameters = _split_parameters(part)
    try:
        return media_type, float(parameters.get("q", "1"))
    except ValueError:
        return media_type, 0.0


def _plain(value: object) -> object:
    """Called by orjson for what it does not know."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


def _non_finite(value: object, place: str = "") -> str | None:
    """Where in `value` the first NaN or infinity stands, such as `[0]["score"]`."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    children: list[tuple[object, object]] = []
    match value:
        case float():
            return None if math.isfinite(value) else place
        case dict():
            children = list(value.items())
        case list() | tuple():
            children = list(enumerate(value))
    found = (_non_finite(child, f"{place}[{key!r}]") for key, child in children)
    return next((where for where in found if where is not None), None)
