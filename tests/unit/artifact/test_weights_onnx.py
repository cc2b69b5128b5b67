from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.folder.onnx_file import read_external_data
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeFolder = Callable[..., Path]


def field(number: int, content: bytes) -> bytes:
    """Of a protobuf message: a field that has a length."""
    size = len(content)
    length = [size] if size < 0x80 else [size & 0x7F | 0x80, size >> 7]
    return bytes([number << 3 | 2, *length]) + content


def tensor(location: str, *, offset: int = 0, length: int) -> bytes:
    entries = {"location": location, "offset": str(offset), "length": str(length)}
    pairs = [field(1, key.encode()) + field(2, value.encode()) for key, value in entries.items()]
    # Its number of dimensions is an integer, its data a tensor of four bytes each.
    return b"\x08\x05\x25\x00\x00\x00\x00" + b"".join(field(13, pair) for pair in pairs)


def model(*initializers: bytes, node: bytes = b"") -> bytes:
    graph = field(1, node) + b"".join(field(5, each) for each in initializers)
    return b"\x08\x0a" + field(7, graph)


def test_where_the_weights_lie_and_how_many(tmp_path: Path):
    path = tmp_path / "model.onnx"
    inner = field(5, tensor("inner.bin", length=3))
    attribute = field(6, inner)  # the body of a loop is a graph in an attribute
    path.write_bytes(
        model(
            tensor("model.onnx.data", length=8),
            tensor("model.onnx.data", offset=8, length=4),
            tensor("weights/onnx__MatMul_1", length=7),
            node=field(5, attribute),
        )
    )

    assert read_external_data(path) == {
        "inner.bin": 3,
        "model.onnx.data": 12,
        "weights/onnx__MatMul_1": 7,
    }


def test_a_graph_that_is_cut_off_anywhere_is_refused(tmp_path: Path):
    path = tmp_path / "model.onnx"
    whole = model(tensor("model.onnx.data", length=8))
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(BuildError, match=r"cannot read `.*model.onnx`: (it|the file) is"):
            read_external_data(path)


@pytest.mark.parametrize(
    "content",
    [b"graph", b"\x00" * 20, b"<html>", b"\xff" * 20, model(tensor("a", length=1)[:-1] + b"x")],
)
def test_what_is_no_graph(content: bytes, tmp_path: Path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(BuildError, match="it is truncated, or no ONNX graph") as caught:
        read_external_data(path)

    assert "export the graph again" in (caught.value.hint or "")


@pytest.fixture
def folder(make_folder: MakeFolder) -> Path:
    folder = make_folder({"onnx/weights.bin": bytes(12), "onnx/other.bin": "x"})
    (folder / "onnx/model.onnx").write_bytes(model(tensor("weights.bin", offset=4, length=8)))
    return folder


def test_the_files_that_a_graph_names_belong_to_it(folder: Path):
    found = read_checkpoint(folder, has_handler=False)

    assert found.model is not None
    assert [str(f.path) for f in found.model.files] == ["onnx/model.onnx", "onnx/weights.bin"]
    assert found.summary == "DistilBertForTokenClassification, ONNX, 78 B, 3 labels"


def test_missing_weights_are_named(folder: Path):
    (folder / "onnx/weights.bin").unlink()

    with pytest.raises(BuildError, match=r"its weights lie in `weights.bin` beside it") as caught:
        read_checkpoint(folder, has_handler=False)

    assert caught.value.hint == f"copy `weights.bin` into `{folder / 'onnx'}`"


def test_truncated_weights_are_named(folder: Path):
    (folder / "onnx/weights.bin").write_bytes(bytes(11))

    with pytest.raises(BuildError, match=r"weights.bin`: it is truncated, 11 bytes of the 12"):
        read_checkpoint(folder, has_handler=False)


def test_a_graph_whose_weights_lie_outside_the_folder(folder: Path):
    (folder.parent / "weights.bin").write_bytes(bytes(12))
    graph = model(tensor("../../weights.bin", length=8))
    (folder / "onnx/model.onnx").write_bytes(graph)

    with pytest.raises(BuildError, match=r"`../../weights.bin` beside it, and there is no such"):
        read_checkpoint(folder, has_handler=False)
