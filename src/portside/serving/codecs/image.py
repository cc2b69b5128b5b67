"""Images, read and written by Pillow where it is installed: the extra `portside[image]`."""

from __future__ import annotations

import importlib.util
import io
from functools import cache
from typing import TYPE_CHECKING, Final

from portside.serving.codecs.media_type import MediaType
from portside.serving.error import (
    BodyTooLargeError,
    InvalidBodyError,
    PredictionFailedError,
    RequestError,
)

if TYPE_CHECKING:
    from PIL import Image

_FORMATS: Final = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
"""What Pillow calls the format. Only the one that is announced is tried: Pillow has forty, and
some of them are seldom used and little tested."""

NAMES: Final = tuple(_FORMATS)


@cache
def is_installed() -> bool:
    """Whether images can be read and written."""
    return importlib.util.find_spec("PIL") is not None


def read(body: bytes, media_type: MediaType) -> Image.Image:
    """The image, in the mode that it was stored in; of several frames the first."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - an extra, slow to import

    name = _FORMATS[media_type.name]
    try:
        image = Image.open(io.BytesIO(body), formats=[name])
        _check_size(image, max_pixels=Image.MAX_IMAGE_PIXELS)
        image.load()
    except RequestError:
        raise
    except UnidentifiedImageError as error:
        raise InvalidBodyError(f"the body is not {name}") from error
    except Image.DecompressionBombError as error:
        raise BodyTooLargeError(f"cannot read the image: {error}") from error
    # Pillow's decoders raise all kinds of exceptions on a broken image.
    except Exception as error:
        raise InvalidBodyError(f"the body is not {name}: {error}") from error
    return image


def _check_size(image: Image.Image, *, max_pixels: int | None) -> None:
    """Pillow only warns above its own limit (0.09 gigapixels, a quarter of a gigabyte)."""
    width, height = image.size
    if max_pixels is not None and width * height > max_pixels:
        raise BodyTooLargeError(
            f"the image has {width} by {height} pixels, and may have {max_pixels}"
        )


def write(value: object, media_type: MediaType) -> bytes:
    """A Pillow image. Bytes are taken for one that is encoded already."""
    from PIL import Image  # noqa: PLC0415 - see above

    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    name = _FORMATS[media_type.name]
    if not isinstance(value, Image.Image):
        raise PredictionFailedError(
            f"cannot write the result as {name}: `{type(value).__name__}` is no Pillow image"
        )
    file = io.BytesIO()
    try:
        value.save(file, format=name)
    except (OSError, ValueError) as error:
        raise PredictionFailedError(f"cannot write the result as {name}: {error}") from error
    return file.getvalue()
