"""Bytes to text and back, by the charset that a content type names.

Only these, and not all that Python has: among those are `idna`, `zip` and others that
are no charset, or slow on a body made to be slow. A byte order mark is no part of the text.
"""

from __future__ import annotations

from typing import Final

from portside.serving.error import (
    InvalidBodyError,
    PredictionFailedError,
    UnsupportedMediaTypeError,
)

UTF_8: Final = "utf-8"

_READ_AS: Final = {
    UTF_8: "utf-8-sig",
    # Any text in US-ASCII is one in UTF-8, and clients that say the first may well send the other.
    "us-ascii": "utf-8-sig",
    "iso-8859-1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
"""The codec of Python by the usual name of a charset (IANA's character sets)."""

NAMES: Final = frozenset(_READ_AS)
"""Charsets in which texts can be read and written."""

_ALIASES: Final = {
    "utf8": UTF_8,
    "ascii": "us-ascii",
    "latin-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "latin-9": "iso-8859-15",
    "cp1252": "windows-1252",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
}


def usual_name(name: str) -> str:
    """One name for a charset that has several; another is given back as it is."""
    return _ALIASES.get(name, name)


def decode(body: bytes, name: str) -> str:
    """The text of a body."""
    encoding = _READ_AS.get(name)
    if encoding is None:
        known = ", ".join(f"`{charset}`" for charset in _READ_AS)
        raise UnsupportedMediaTypeError(f"cannot read the charset `{name}`; send one of {known}")
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidBodyError(f"the body is not in `{name}`: {error}") from error


def encode(text: str, name: str) -> bytes:
    """A text of an answer as bytes."""
    try:
        return text.encode(name)
    except (LookupError, UnicodeEncodeError) as error:
        raise PredictionFailedError(f"cannot write the result in `{name}`: {error}") from error
