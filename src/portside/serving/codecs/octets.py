"""Bytes as they are."""

from __future__ import annotations

from portside.serving.codecs.media_type import MediaType
from portside.serving.error import PredictionFailedError


def read(body: bytes, _media_type: MediaType) -> bytes:
    """The body itself."""
    return body


def write(value: object, _media_type: MediaType) -> bytes:
    """A result that is bytes."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise PredictionFailedError(
            f"cannot write the result as bytes: it is `{type(value).__name__}`"
        )
    return bytes(value)
