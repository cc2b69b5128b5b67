"""Media types and the ranges in `Accept`, parsed (RFC 9110, sections 8.3.1 and 12.5.1).

    text/csv; charset="UTF-8"; header=present      one type with parameters
    text/csv;q=0.5, application/*, */*;q=0.1       ranges with weights

Names and values are taken in lower case: those that matter here are not
case-sensitive. What is malformed does not raise; it names no type that there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from portside.serving.codecs import charset

_PARTS: Final = {
    separator: re.compile(rf'(?:[^{separator}"]|"(?:\\.|[^"\\])*"?)+') for separator in ",;"
}
"""What stands between separators; one inside a quoted string does not separate."""

_QUALITY: Final = re.compile(r"0(\.\d*)?|1(\.0*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaType:
    """A media type such as `text/csv`, with its parameters."""

    name: str
    parameters: Mapping[str, str]
    charset: str
    """Under its usual name, UTF-8 where none is given; it may be one that nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRange:
    """A part of `Accept`: a media type, or a wildcard for several, and how much it is wanted."""

    media_type: MediaType
    quality: float
    """From 0, not acceptable, to 1."""


def parse_media_type(header: str) -> MediaType:
    """The type that a `Content-Type` names."""
    name, *parts = _PARTS[";"].findall(header.lower()) or [""]
    pairs = (part.partition("=") for part in parts)
    parameters = {key.strip(): _unquoted(value.strip()) for key, _, value in pairs}
    if "charset" in parameters:
        parameters["charset"] = charset.usual_name(parameters["charset"])
    return MediaType(
        name=name.strip(),
        parameters=parameters,
        charset=parameters.get("charset", charset.UTF_8),
    )


def parse_accept(header: str) -> list[MediaRange]:
    """The ranges of an `Accept`, in their order; a weight that makes no sense counts as 0."""
    media_types = (parse_media_type(part) for part in _PARTS[","].findall(header))
    return [
        MediaRange(media_type=media_type, quality=_quality(media_type.parameters.get("q", "1")))
        for media_type in media_types
        if media_type.name
    ]


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"'))


def _quality(text: str) -> float:
    return float(text) if _QUALITY.fullmatch(text) else 0.0
