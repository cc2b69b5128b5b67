"""Images, by Pillow."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from portside.serving import codecs
from portside.serving.error import BodyTooLargeError, InvalidBodyError, PredictionFailedError

Image = pytest.importorskip("PIL.Image")

LOSSLESS = ["image/png", "image/bmp", "image/tiff"]


def png(width: int, height: int) -> bytes:
    """A PNG that announces this size, and has next to nothing of it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0"))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


@pytest.mark.parametrize("content_type", LOSSLESS)
def test_an_image_is_read_back(content_type: str):
    written = Image.linear_gradient("L").resize((5, 3)).convert("RGB")
    read: Any = codecs.decode(codecs.encode(written, content_type), content_type)

    assert (read.mode, read.size) == ("RGB", (5, 3))
    assert read.tobytes() == written.tobytes()


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/webp", "image/gif"])
def test_an_image_is_read_back_much_the_same(content_type: str):
    written = Image.new("RGB", (8, 8), (200, 100, 50))
    read: Any = codecs.decode(codecs.encode(written, content_type), content_type)

    colors = zip(read.convert("RGB").getpixel((4, 4)), (200, 100, 50), strict=True)
    assert all(abs(one - other) < 10 for one, other in colors)


def test_an_encoded_image_is_written_as_it_is():
    assert codecs.encode(b"encoded", "image/png") == b"encoded"


def test_only_the_announced_format_is_read():
    body = codecs.encode(Image.new("L", (2, 2)), "image/png")

    with pytest.raises(InvalidBodyError, match="not JPEG"):
        codecs.decode(body, "image/jpeg")


@pytest.mark.parametrize("body", [b"", b"text", png(2, 2), png(2, 2)[:30], png(0, 0)])
def test_a_broken_image_is_refused(body: bytes):
    with pytest.raises(InvalidBodyError, match="the body is not PNG"):
        codecs.decode(body, "image/png")


def test_a_cut_image_is_refused():
    body = codecs.encode(Image.effect_noise((50, 50), 90), "image/png")

    with pytest.raises(InvalidBodyError, match="the body is not PNG"):
        codecs.decode(body[: len(body) // 2], "image/png")


def test_an_image_that_unpacks_to_too_much_is_refused():
    with pytest.raises(BodyTooLargeError):
        codecs.decode(png(2**20, 2**20), "image/png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_pillows_own_limit_is_no_mere_warning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)

    with pytest.raises(BodyTooLargeError, match="2 by 2 pixels, and may have 3"):
        codecs.decode(png(2, 2), "image/png")


@pytest.mark.parametrize("value", ["text", [[0, 0]], None])
def test_what_is_no_image_is_refused(value: object):
    with pytest.raises(PredictionFailedError, match="no Pillow image"):
        codecs.encode(value, "image/png")


def test_what_the_format_lacks_is_refused():
    with pytest.raises(PredictionFailedError, match="as JPEG: cannot write mode RGBA"):
        codecs.encode(Image.new("RGBA", (2, 2)), "image/jpeg")
