from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.folder.safetensors_file import Tensor, read_tensors
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeFolder = Callable[..., Path]

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def file_of(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(begin: int, end: int, **changed: Any) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]} | changed


def test_what_the_library_writes_is_read(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    arrays = {"a": np.zeros((2, 3), np.float16), "b": np.zeros(5), "none": np.zeros((0, 4))}
    save_file(arrays, path, metadata={"format": "pt"})

    assert read_tensors(path) == {
        "a": Tensor(dtype="F16", shape=(2, 3)),
        "b": Tensor(dtype="F64", shape=(5,)),
        "none": Tensor(dtype="F64", shape=(0, 4)),
    }


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    whole = save({"a": np.zeros((2, 3), np.float32)})
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(BuildError, match=r"`.*model.safetensors`: .*"):
            read_tensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "0 bytes are no safetensors", id="empty"),
        pytest.param(b"not weights at all", "does not begin as", id="text"),
        pytest.param((99).to_bytes(8, "little") + b"{}", "its header alone takes 99", id="header"),
        pytest.param(
            file_of({"a": entry(0, 8)}, b"1234"), "truncated, 4 of the 8 bytes", id="truncated"
        ),
        pytest.param(file_of({"a": entry(0, 2)}, b"123"), "1 bytes follow", id="too long"),
        pytest.param(file_of(b"{"), "its header is not JSON", id="no JSON"),
        pytest.param(file_of(b"[" * 100_000), "its header is not JSON", id="nested"),
        pytest.param(file_of([]), "its header is no object", id="list"),
        pytest.param(file_of({"a": 1}), "says of `a` neither type", id="no entry"),
        pytest.param(
            file_of({"a": entry(0, 2, shape=[-2])}, b"12"), "says of `a` neither", id="negative"
        ),
        pytest.param(
            file_of({"a": entry(0, 2), "b": entry(1, 3)}, b"123"),
            "puts `b` at bytes 1 to 3",
            id="on",
        ),
        pytest.param(file_of({"a": entry(1, 3)}, b"123"), "puts `a` at bytes 1", id="hole"),
        pytest.param(
            file_of({"a": entry(0, 3, dtype="F32")}, b"123"), "does not fit its shape", id="size"
        ),
    ],
)
def test_a_broken_file_says_how(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)

    with pytest.raises(BuildError, match=message) as caught:
        read_tensors(path)

    assert caught.value.hint


def test_a_type_that_is_newer_than_portside_is_no_error(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(file_of({"a": entry(0, 3, dtype="F2")}, b"123"))

    assert read_tensors(path)["a"].dtype == "F2"


def test_broken_weights_stop_the_packaging_with_code_as_well(make_folder: MakeFolder):
    folder = make_folder({})
    (folder / "model.safetensors").write_bytes(b"")

    with pytest.raises(BuildError, match="0 bytes are no safetensors"):
        read_checkpoint(folder, has_handler=True)


def test_the_pointer_that_git_leaves_is_no_model(make_folder: MakeFolder):
    folder = make_folder({})
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    (folder / "model.safetensors").write_text(pointer)

    with pytest.raises(BuildError, match="the pointer that git keeps") as caught:
        read_checkpoint(folder, has_handler=False)

    assert f"`git -C {folder} lfs pull`" in (caught.value.hint or "")


# --- Shards ---------------------------------------------------------------------


@pytest.fixture
def sharded(make_folder: MakeFolder) -> Path:
    """A classifier for three labels in two shards, with their index."""
    folder = make_folder({})
    save_file({"classifier.weight": np.zeros((3, 2), np.float32)}, folder / SHARDS[0])
    save_file({"encoder": np.zeros(1000, np.float32)}, folder / SHARDS[1])
    index(folder, {"classifier.weight": SHARDS[0], "encoder": SHARDS[1]})
    return folder


def index(folder: Path, weight_map: object) -> None:
    file = folder / "model.safetensors.index.json"
    file.write_text(json.dumps({"weight_map": weight_map}))


def test_shards_are_one_model(sharded: Path):
    found = read_checkpoint(sharded, has_handler=False)

    assert found.model is not None
    assert [str(file.path) for file in found.model.weights] == [*SHARDS]
    assert len(found.model.files) == 3
    assert found.summary == (
        "DistilBertForTokenClassification, safetensors in 2 shards, 1.0 k parameters, 3 labels"
    )


def test_a_missing_shard_is_named(sharded: Path):
    (sharded / SHARDS[0]).unlink()

    with pytest.raises(BuildError, match=f"in 2 shards, and `{SHARDS[0]}` is missing"):
        read_checkpoint(sharded, has_handler=False)


def test_all_shards_missing(sharded: Path):
    for name in SHARDS:
        (sharded / name).unlink()

    with pytest.raises(BuildError, match=r"`model.safetensors.index.json`, and none of the shards"):
        read_checkpoint(sharded, has_handler=False)


def test_a_truncated_shard_is_named(sharded: Path):
    path = sharded / SHARDS[1]
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(BuildError, match=f"{SHARDS[1]}`: it is truncated, 3999 of the 4000 bytes"):
        read_checkpoint(sharded, has_handler=False)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"encoder": SHARDS[0]}, f"puts `encoder` into `{SHARDS[0]}`, which has no such"),
        ({"encoder": "other.safetensors"}, "into `other.safetensors`, which has no such"),
        ([], "has no `weight_map`"),
    ],
)
def test_an_index_of_other_shards(weight_map: object, message: str, sharded: Path):
    index(sharded, weight_map)

    with pytest.raises(BuildError, match=message):
        read_checkpoint(sharded, has_handler=False)


def test_an_index_beside_a_single_file_is_of_no_account(make_folder: MakeFolder):
    folder = make_folder({"model.safetensors": "w"})
    index(folder, {"encoder": SHARDS[0]})

    found = read_checkpoint(folder, has_handler=False)

    assert found.model is not None
    assert len(found.model.files) == 1
