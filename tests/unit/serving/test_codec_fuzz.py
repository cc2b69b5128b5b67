"""No body and no header raises anything but a RequestError that blames the caller."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portside.serving import codecs
from portside.serving.error import NotAcceptableError, RequestError

NAMES = [
    "application/json",
    "application/jsonlines",
    "text/csv",
    "text/plain",
    "application/x-npy",
    "application/x-npz",
    "application/octet-stream",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/bmp",
    "image/tiff",
]
PARAMETERS = ["", "; header=present", "; charset=utf-16", "; charset=latin-1", "; charset=zip"]
CONTENT_TYPES = st.builds("{}{}".format, st.sampled_from(NAMES), st.sampled_from(PARAMETERS))
HEADERS = st.text(st.characters(max_codepoint=255)) | st.lists(
    st.sampled_from([*NAMES, "*/*", "text/*", ",", ";", "=", '"', "\\", "q", "0.5", "charset", " "])
).map("".join)


def _npz(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    return file.getvalue()


def _bodies() -> list[tuple[str, bytes]]:
    """A good body of each binary type, to be spoiled."""
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    npy = codecs.encode(array, "application/x-npy")
    bodies = [("application/x-npy", npy), ("application/x-npz", _npz(npy))]
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return bodies
    picture = Image.linear_gradient("L").resize((9, 9)).convert("RGB")
    names = [name for name in NAMES if name.startswith("image/")]
    return bodies + [(name, codecs.encode(picture, name)) for name in names]


BODIES = _bodies()


def _decode(body: bytes, content_type: str) -> None:
    status = 200
    try:
        codecs.decode(body, content_type)
    except RequestError as error:
        status = error.status
    assert 200 <= status < 500


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), CONTENT_TYPES)
def test_any_body(body: bytes, content_type: str):
    _decode(body, content_type)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), CONTENT_TYPES)
def test_any_text(text: str, content_type: str):
    _decode(text.encode("utf-8", "replace"), content_type)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_spoiled_body(data: st.DataObject):
    content_type, body = data.draw(st.sampled_from(BODIES))
    spoiled = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(spoiled) - 1))
        spoiled[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if not spoiled:
            break

    _decode(bytes(spoiled), content_type)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=120))
@example("{'descr': '|a5', 'fortran_order': False, 'shape': (3L,)}")
@example("{'descr': {}, 'fortran_order': False, 'shape': ()}")
@example("{'descr': ('f8', -1), 'fortran_order': False, 'shape': ()}")
def test_any_header_of_an_array(header: str):
    length = len(header).to_bytes(2, "little")
    _decode(b"\x93NUMPY\x01\x00" + length + header.encode() + b"x" * 40, "application/x-npy")


@settings(max_examples=300, deadline=None)
@given(HEADERS)
def test_any_header(header: str):
    _decode(b"1", header)
    try:
        chosen = codecs.choose(header)
    except NotAcceptableError:
        return
    assert codecs.choose(chosen) == chosen
