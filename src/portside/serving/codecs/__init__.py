"""Content type to value and back: what a body holds, and how an answer is written.

    Content-Type ──decode──▶ value ──handler──▶ result ──encode──▶ body
                                    Accept ──choose──▶ content type ──┘

    application/json                  json_text    any JSON value
    application/jsonlines, …          json_lines   a list, one JSON value a line
    text/csv                          csv_table    a list of rows, numbers as numbers
    text/plain                        text         str
    application/x-npy                 npy          a numpy array, not copied
    application/x-npz                 npz          numpy arrays by name
    application/octet-stream          octets       bytes
    image/png, image/jpeg, …          image        a Pillow image, where Pillow is installed

Each family has a module with `read(body, media_type)` and `write(value, media_type)`.
What is sent wrong ends in 400, a type that no codec has in 415 or 406, a body that
unpacks to more than there should be in 413, and a result that cannot be written in 500:
no body and no header raises anything but a RequestError. Nothing is ever unpickled.

Headers are parsed once and remembered, because clients send the same ones again and
again; a request costs two look-ups and what orjson takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from portside.serving.codecs import (
    charset,
    csv_table,
    image,
    json_lines,
    json_text,
    npy,
    npz,
    octets,
    text,
)
from portside.serving.codecs.media_type import MediaType, parse_accept, parse_media_type
from portside.serving.error import (
    NotAcceptableError,
    PredictionFailedError,
    UnsupportedMediaTypeError,
)

JSON: Final = "application/json"
"""What a body is without a `Content-Type`, and what is written if the caller has no wish."""

_Read = Callable[[bytes, MediaType], object]
_Write = Callable[[object, MediaType], bytes]

_REMEMBERED_HEADERS: Final = 128
"""Different values of a header that are kept parsed; real clients send a handful."""


def decode(body: bytes, content_type: str | None) -> object:
    """The value of a body; without a `Content-Type` it is taken as JSON.

    boto3 sends no `Content-Type` unless told to. Raises InvalidBodyError (400),
    BodyTooLargeError (413) and UnsupportedMediaTypeError (415).
    """
    read, media_type = _reader(content_type or JSON)
    return read(body, media_type)


def choose(accept: str | None, *, default: str = JSON) -> str:
    """The content type to answer in: the one that `Accept` wants most of those that can be written.

    Of equals the first named wins, and `default` wherever a wildcard leaves the choice. It is
    given back as it is, be there a codec for it or not. Raises NotAcceptableError (406).
    """
    if accept is None or accept == "*/*":
        return default
    return _choose(accept, default)


def encode(value: object, content_type: str, *, default: str | None = None) -> bytes:
    """A result as a body of a type that `choose` gave.

    Raises PredictionFailedError (500) if it cannot be written so; NotAcceptableError (406) if the
    type is not `default`, and so was the caller's wish.
    """
    write, media_type = _writer(content_type)
    try:
        return write(value, media_type)
    except PredictionFailedError as error:
        if default is None or content_type == default:
            raise
        raise NotAcceptableError(f"{error.message}; accept `{default}`") from error


# --- Which codec ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Codec:
    read: _Read
    write: _Write
    parameters: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Those of `Accept` that change what is written, with the values that can be had."""


_JSON_LINES: Final = _Codec(read=json_lines.read, write=json_lines.write)

_CODECS: Final[Mapping[str, _Codec]] = {
    JSON: _Codec(read=json_text.read, write=json_text.write),
    **dict.fromkeys(json_lines.NAMES, _JSON_LINES),
    "text/csv": _Codec(
        read=csv_table.read,
        write=csv_table.write,
        parameters={"charset": charset.NAMES, "header": csv_table.HEADER_VALUES},
    ),
    "text/plain": _Codec(read=text.read, write=text.write, parameters={"charset": charset.NAMES}),
    "application/x-npy": _Codec(read=npy.read, write=npy.write),
    "application/x-npz": _Codec(read=npz.read, write=npz.write),
    "application/octet-stream": _Codec(read=octets.read, write=octets.write),
}

_IMAGE: Final = _Codec(read=image.read, write=image.write)


def _codecs() -> Mapping[str, _Codec]:
    """By media type, in the order in which a wildcard in `Accept` picks."""
    return {**_CODECS, **dict.fromkeys(image.NAMES, _IMAGE)} if image.is_installed() else _CODECS


@lru_cache(_REMEMBERED_HEADERS)
def _reader(content_type: str) -> tuple[_Read, MediaType]:
    media_type = parse_media_type(content_type.strip() or JSON)
    codec = _codecs().get(media_type.name)
    if codec is None:
        raise UnsupportedMediaTypeError(
            f"cannot read `{media_type.name}`; send {_one_of_all()}{_hint(media_type.name)}"
        )
    return codec.read, media_type


@lru_cache(_REMEMBERED_HEADERS)
def _writer(content_type: str) -> tuple[_Write, MediaType]:
    media_type = parse_media_type(content_type)
    codec = _codecs().get(media_type.name)
    if codec is None:
        raise PredictionFailedError(
            f"cannot write the result as `{media_type.name}`: there is no codec for it"
        )
    return codec.write, media_type


def _one_of_all() -> str:
    *most, last = (f"`{name}`" for name in _codecs())
    return f"{', '.join(most)} or {last}"


def _hint(header: str) -> str:
    if "image/" in header.lower() and not image.is_installed():
        return "; for images install `portside[image]` in the instance"
    return ""


# --- Which type to write --------------------------------------------------------


@lru_cache(_REMEMBERED_HEADERS)
def _choose(accept: str, default: str) -> str:
    """Negotiate as in RFC 9110, section 12.5.1.

    The most specific range decides on a type: `application/json;q=0, */*` is anything but JSON.
    """
    ranges = parse_accept(accept)
    if not ranges:
        return default
    own_name = parse_media_type(default).name
    patterns = {media_range.media_type.name for media_range in ranges}
    # What can be written, by the range that decides on it.
    names: dict[str | None, list[str]] = {}
    for name in dict.fromkeys((own_name, *_codecs())):
        names.setdefault(_decisive_pattern(name, patterns), []).append(name)

    best_first = sorted(ranges, key=lambda each: each.quality, reverse=True)
    for media_type in (each.media_type for each in best_first if each.quality > 0):
        for name in names.get(media_type.name, ()):
            if name != media_type.name:  # a wildcard
                return default if name == own_name else name
            if (written := _written_type(media_type, default=default)) is not None:
                return written
    raise NotAcceptableError(f"cannot write `{accept}`; accept {_one_of_all()}{_hint(accept)}")


def _decisive_pattern(name: str, patterns: Collection[str]) -> str | None:
    main_type = name.partition("/")[0]
    return next((each for each in (name, f"{main_type}/*", "*/*") if each in patterns), None)


def _written_type(media_type: MediaType, *, default: str) -> str | None:
    """The content type of an answer to one named in `Accept`; None if a parameter rules it out."""
    codec = _codecs().get(media_type.name)
    if codec is None:
        return default
    asked = {
        name: value for name, value in media_type.parameters.items() if name in codec.parameters
    }
    if any(value not in codec.parameters[name] for name, value in asked.items()):
        return None
    # Left out, because it says nothing new: some that come next in an inference pipeline compare
    # content types letter by letter.
    if asked.get("charset") == charset.UTF_8:
        del asked["charset"]
    return "; ".join([media_type.name, *(f"{name}={value}" for name, value in asked.items())])
