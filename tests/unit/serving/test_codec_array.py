"""NPY and NPZ: both ends, nothing copied, nothing unpickled, and bodies made to do harm."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from portside.serving import codecs
from portside.serving.error import BodyTooLargeError, InvalidBodyError, PredictionFailedError

NPY = "application/x-npy"
NPZ = "application/x-npz"


def is_unicode(array: npt.NDArray[Any]) -> bool:
    return not any("\ud800" <= character <= "\udfff" for text in array.flat for character in text)


ARRAYS = hnp.arrays(
    dtype=hnp.boolean_dtypes()
    | hnp.integer_dtypes()
    | hnp.unsigned_integer_dtypes()
    | hnp.floating_dtypes()
    | hnp.complex_number_dtypes()
    | hnp.datetime64_dtypes()
    | hnp.unicode_string_dtypes(min_len=1, max_len=5)
    | hnp.byte_string_dtypes(min_len=1, max_len=5),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
).filter(lambda array: array.dtype.kind != "U" or is_unicode(array))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


def npy(array: npt.NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(members: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def with_header(header: str, content: bytes = b"", *, version: bytes = b"\x01\x00") -> bytes:
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header.encode() + content


def header_of(descr: object, shape: object, *, order: object = False) -> str:
    return repr({"descr": descr, "fortran_order": order, "shape": shape})


def assert_same(read: object, written: npt.NDArray[Any]) -> None:
    assert isinstance(read, np.ndarray)
    assert (read.dtype, read.shape) == (written.dtype, written.shape)
    assert read.tobytes() == written.tobytes()


@given(ARRAYS)
def test_an_array_is_read_back(array: npt.NDArray[Any]):
    body = codecs.encode(array, NPY)

    assert body == npy(array)
    assert_same(codecs.decode(body, NPY), array)


@given(st.dictionaries(NAMES, ARRAYS, max_size=3))
def test_arrays_are_read_back_by_name(arrays: dict[str, npt.NDArray[Any]]):
    read: Any = codecs.decode(codecs.encode(arrays, NPZ), NPZ)

    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_same(read[name], array)


def test_what_numpy_packs_is_read():
    file = io.BytesIO()
    np.savez_compressed(file, a=np.arange(3), b=np.eye(2))
    read: Any = codecs.decode(file.getvalue(), NPZ)

    assert_same(read["a"], np.arange(3))
    assert_same(read["b"], np.eye(2))


def test_numpy_reads_what_is_packed():
    with np.load(io.BytesIO(codecs.encode([1.5, 2], NPZ)), allow_pickle=False) as read:
        assert_same(read["arr_0"], np.array([1.5, 2]))


def test_an_array_in_another_order_is_read_back():
    array = np.asfortranarray(np.arange(6).reshape(2, 3))
    read: Any = codecs.decode(npy(array), NPY)

    assert (read == array).all()
    assert read.flags.f_contiguous


def test_a_long_header_is_read():
    content = b"\1\2\3"
    body = with_header(header_of("|u1", (3,)), content, version=b"\x02\x00")

    assert_same(codecs.decode(body, NPY), np.array([1, 2, 3], dtype=np.uint8))


def test_a_large_array_is_not_copied():
    body = npy(np.zeros(2**20, dtype=np.float32))
    codecs.decode(body, NPY)

    tracemalloc.start()
    try:
        array: Any = codecs.decode(body, NPY)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < array.nbytes / 10
    assert not array.flags.writeable


class Exploit:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x93NUMPY", id="cut in the magic"),
        pytest.param(b"\x93NUMPY\x01\x00\xff\xff{", id="cut in the header"),
        pytest.param(npy(np.arange(3))[:-1], id="cut in the content"),
        pytest.param(npy(np.arange(3)) + b"x", id="more than announced"),
        pytest.param(npy(np.array([Exploit()], dtype=object)), id="a pickle in NPY"),
        pytest.param(pickle.dumps(Exploit()), id="a pickle"),
        pytest.param(with_header(header_of("|O", (1,)), b"x" * 8), id="objects"),
        pytest.param(with_header(header_of([("a", "|O")], (1,)), b"x" * 8), id="records"),
        pytest.param(with_header(header_of("<f8", (2**62, 2**62))), id="huge"),
        pytest.param(with_header(header_of("<f8", (2**62, 0, 2**62))), id="huge and empty"),
        pytest.param(with_header(header_of("<f8", (-1, -1)), b"x" * 8), id="negative"),
        pytest.param(with_header(header_of("<f8", (1,) * 99), b"x" * 8), id="many dimensions"),
        pytest.param(with_header(header_of("<U0", (2**40,))), id="texts without length"),
        pytest.param(with_header(header_of("(2,)<f8", (1,)), b"x" * 16), id="arrays in arrays"),
        pytest.param(with_header(header_of("<U1", (1,)), b"\xff" * 4), id="not Unicode"),
        pytest.param(with_header(header_of("<U1", (1,)), b"\0\xd8\0\0"), id="a surrogate"),
        pytest.param(with_header(header_of("nonsense", (1,)), b"x"), id="no type"),
        pytest.param(with_header(header_of("<f8", "3"), b"x" * 24), id="no shape"),
        pytest.param(with_header("(" * 5000), id="deep"),
        pytest.param(with_header("-" * 9000 + "1"), id="deeper"),
        pytest.param(with_header(" 1\n  2\n1"), id="not even Python"),
        pytest.param(with_header("[" * 60_000), id="long"),
        pytest.param(with_header("{}", version=b"\x03\x00"), id="version 3"),
    ],
)
def test_hostile_arrays_are_refused(body: bytes):
    with pytest.raises(InvalidBodyError, match="the body is not NPY"):
        codecs.decode(body, NPY)
    with pytest.raises(InvalidBodyError, match=r"`a\.npy` in the body is not NPY"):
        codecs.decode(npz({"a.npy": body}), NPZ)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(npy(np.arange(3)), id="NPY"),
        pytest.param(npz({"a.npy": npy(np.arange(300))})[:-100], id="cut"),
        pytest.param(npz({"a.txt": b"text"}), id="a text"),
        pytest.param(npz({"folder/": b""}), id="a folder"),
        pytest.param(npz({"a.npy": npy(np.arange(3))}, compression=zipfile.ZIP_LZMA), id="LZMA"),
    ],
)
def test_hostile_archives_are_refused(body: bytes):
    with pytest.raises(InvalidBodyError):
        codecs.decode(body, NPZ)


def test_two_arrays_of_one_name_are_refused():
    body = npz({"a.npy": npy(np.arange(3)), "b.npy": npy(np.arange(4))})

    with pytest.raises(InvalidBodyError, match="two arrays have one name"):
        codecs.decode(body.replace(b"b.npy", b"a.npy"), NPZ)


def test_an_encrypted_archive_is_refused():
    body = bytearray(npz({"a.npy": npy(np.arange(3))}))
    body[body.index(b"PK\x01\x02") + 8] |= 1

    with pytest.raises(InvalidBodyError, match=r"cannot unpack `a\.npy`"):
        codecs.decode(bytes(body), NPZ)


ZEROS = npz({"a.npy": npy(np.zeros(2 * 2**20, dtype=np.uint8))})


def test_an_archive_that_unpacks_to_too_much_is_refused():
    with pytest.raises(BodyTooLargeError, match="unpacks to 2097280 bytes, and may to 1048576"):
        codecs.decode(ZEROS, NPZ)


def test_an_archive_that_hides_its_size_is_not_unpacked():
    announced = struct.pack("<I", 2 * 2**20 + 128)
    body = ZEROS.replace(announced, struct.pack("<I", 1000))

    tracemalloc.start()
    try:
        with pytest.raises(InvalidBodyError):
            codecs.decode(body, NPZ)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert body != ZEROS
    assert peak < 2**20


class Tensor:
    """Stands for a torch tensor that needs gradients and lies on a GPU."""

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> npt.NDArray[np.float32]:
        return np.ones((2, 2), dtype=np.float32)


@pytest.mark.parametrize(
    ("value", "array"),
    [
        ([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])),
        (0.5, np.array(0.5)),
        ((True, False), np.array([True, False])),
        (["a", "bc"], np.array(["a", "bc"])),
        (Tensor(), np.ones((2, 2), dtype=np.float32)),
        (np.arange(6).reshape(2, 3).T[::-1], np.array([[2, 5], [1, 4], [0, 3]])),
    ],
)
def test_what_handlers_return_is_written(value: object, array: npt.NDArray[Any]):
    assert_same(codecs.decode(codecs.encode(value, NPY), NPY), array)


@pytest.mark.parametrize("value", [{"a": {"b": 1}}, [[1], [1, 2]], None, [object()], {"a": None}])
def test_what_is_no_array_is_refused(value: object):
    with pytest.raises(PredictionFailedError, match="cannot write the result as NPY"):
        codecs.encode(value, NPY)


def test_the_member_that_is_no_array_is_named():
    with pytest.raises(PredictionFailedError, match=r"`result\['b'\]` as NPY"):
        codecs.encode({"a": 1, "b": {}}, NPZ)


def test_a_name_that_no_archive_can_hold_is_refused():
    with pytest.raises(PredictionFailedError, match="as NPZ"):
        codecs.encode({"\ud800": 1}, NPZ)
