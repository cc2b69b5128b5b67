"""Plain text, in the charset that its content type names."""

from __future__ import annotations

from numbers import Number

from portside.serving.codecs import charset
from portside.serving.codecs.media_type import MediaType
from portside.serving.error import PredictionFailedError


def read(body: bytes, media_type: MediaType) -> str:
    """The text; an empty body is an empty one."""
    return charset.decode(body, media_type.charset)


def write(value: object, media_type: MediaType) -> bytes:
    """A text, or a number as one. Bytes are taken for a text that is encoded already."""
    match value:
        case str():
            return charset.encode(value, media_type.charset)
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case Number():  # of Python's or numpy's
            return charset.encode(str(value), media_type.charset)
        case _:
            raise PredictionFailedError(
                f"cannot write the result as text: it is `{type(value).__name__}`"
            )
