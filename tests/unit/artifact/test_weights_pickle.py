from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING

import pytest

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.folder.torch_file import TorchFile, read_kind
from portside.artifact.folder.weights import Kind
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeFolder = Callable[..., Path]


def archive(path: Path, *names: str) -> Path:
    """A zip as torch writes it, of files that nothing here reads."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as written:
        for name in names:
            written.writestr(f"{path.stem}/{name}", "")
    return path


def torch_script(path: Path) -> Path:
    return archive(path, "data.pkl", "constants.pkl", "code/__torch__.py")


def test_torch_files_by_what_is_in_them(tmp_path: Path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({}))
    (tmp_path / "a.bin").write_bytes(b"\x01\x02")

    assert read_kind(torch_script(tmp_path / "a.pt")) is TorchFile.TORCH_SCRIPT
    assert read_kind(archive(tmp_path / "b.pt", "data.pkl", "data/0")) is TorchFile.PICKLE
    assert read_kind(archive(tmp_path / "c.pt", "words.txt")) is TorchFile.OTHER
    assert read_kind(tmp_path / "a.pkl") is TorchFile.PICKLE
    assert read_kind(tmp_path / "a.bin") is TorchFile.OTHER


def test_an_archive_that_is_cut_off(tmp_path: Path):
    path = torch_script(tmp_path / "model.pt")
    path.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(BuildError, match=r"model.pt`: it is truncated"):
        read_kind(path)


# --- TorchScript ----------------------------------------------------------------


def test_torch_script_is_served_as_it_is(tmp_path: Path):
    torch_script(tmp_path / "model/model.pth")

    found = read_checkpoint(tmp_path / "model", has_handler=False)

    assert (found.kind, found.task, found.needs_export) == (Kind.TORCH_SCRIPT, None, False)
    assert [str(file.path) for file in found.files] == ["model.pth"]
    assert found.summary.startswith("TorchScript, ")


def test_a_task_goes_before_torch_script_unless_it_is_asked_for(make_folder: MakeFolder):
    folder = make_folder({"model.safetensors": "w"})
    script = torch_script(folder / "model.pt")

    by_itself = read_checkpoint(folder, has_handler=False)
    asked = read_checkpoint(script, has_handler=False)

    assert by_itself.kind is Kind.SAFETENSORS
    assert "model.pt" in {str(left.path) for left in by_itself.left_out}
    assert asked.kind is Kind.TORCH_SCRIPT
    assert {str(left.path) for left in asked.left_out} == {"model.safetensors"}


def test_of_several_torch_scripts_the_one_that_the_runtime_takes(tmp_path: Path):
    torch_script(tmp_path / "model/a.pt")
    torch_script(tmp_path / "model/b.pt")

    with pytest.raises(BuildError, match=r"2 models, `a.pt`, `b.pt`"):
        read_checkpoint(tmp_path / "model", has_handler=False)

    torch_script(tmp_path / "model/model.pt")
    found = read_checkpoint(tmp_path / "model", has_handler=False)
    assert [str(file.path) for file in found.files] == ["model.pt"]


# --- Pickles --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "has_handler", "hint"),
    [
        ("pytorch_model.bin", False, 'Classification.from_pretrained("'),
        ("pytorch_model.bin", True, 'Classification.from_pretrained("'),
        ("model.pt", False, "torch.load("),
        ("classifier.joblib", True, "skl2onnx"),
    ],
)
def test_pickles_are_refused_with_the_way_to_convert(
    name: str, has_handler: bool, hint: str, make_folder: MakeFolder
):
    folder = make_folder({name: "w"})

    with pytest.raises(BuildError, match="a pickle runs whatever code is in it") as caught:
        read_checkpoint(folder, has_handler=has_handler)

    assert hint in (caught.value.hint or "")
    assert "`[model] allow_pickle = true`" in (caught.value.hint or "")


def test_a_pickle_that_is_asked_for_by_name_is_refused_too(make_folder: MakeFolder):
    folder = make_folder({"model.safetensors": "w", "old.pt": "w"})

    with pytest.raises(BuildError, match=r"`old.pt` is a pickle"):
        read_checkpoint(folder / "old.pt", has_handler=False)


def test_allowed_pickles_are_exported(make_folder: MakeFolder):
    names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    folder = make_folder({**dict.fromkeys(names, "w"), "pytorch_model.bin.index.json": "{}"})

    found = read_checkpoint(folder, has_handler=False, allow_pickle=True)

    assert (found.kind, found.needs_export) == (Kind.PICKLE, True)
    assert found.model is not None
    assert [str(file.path) for file in found.model.weights] == names
    assert found.summary == (
        "DistilBertForTokenClassification, pickled weights in 2 shards, 4 B, 3 labels"
    )


def test_what_only_code_can_read_needs_code(make_folder: MakeFolder):
    folder = make_folder({"model.joblib": "w"})

    with pytest.raises(BuildError, match="only code knows what is pickled there") as caught:
        read_checkpoint(folder, has_handler=False, allow_pickle=True)

    assert "inference.py" in (caught.value.hint or "")
    assert read_checkpoint(folder, has_handler=True, allow_pickle=True).kind is Kind.PICKLE


@pytest.mark.parametrize("allow_pickle", [True, False])
@pytest.mark.parametrize("has_handler", [True, False])
def test_pickled_duplicates_are_left_out(
    allow_pickle: bool, has_handler: bool, make_folder: MakeFolder
):
    pickles = ["pytorch_model.bin", "model.pth"]
    folder = make_folder({"model.safetensors": "w", **dict.fromkeys(pickles, "w")})

    found = read_checkpoint(folder, has_handler=has_handler, allow_pickle=allow_pickle)

    left = {str(left.path): left.reason for left in found.left_out}
    assert left == dict.fromkeys(pickles, "pickled weights")


def test_weights_in_another_folder_are_no_duplicate(make_folder: MakeFolder):
    names = ["pytorch_model.bin", "2_Dense/pytorch_model.bin"]
    folder = make_folder({"onnx/model.onnx": "w", **dict.fromkeys(names, "w")})

    found = read_checkpoint(folder, has_handler=True, allow_pickle=True)

    assert [str(left.path) for left in found.left_out] == ["pytorch_model.bin"]
    assert found.summary.startswith("ONNX and pickled weights for your own code, ")


def test_what_the_code_unpickles_beside_the_weights_has_to_be_allowed(make_folder: MakeFolder):
    folder = make_folder({"model.safetensors": "w", "labels.pkl": "w"})

    with pytest.raises(BuildError, match=r"`labels.pkl` is a pickle"):
        read_checkpoint(folder, has_handler=True)

    allowed = read_checkpoint(folder, has_handler=True, allow_pickle=True)
    assert "labels.pkl" in {str(file.path) for file in allowed.files}


def test_a_file_that_merely_ends_in_bin_is_no_pickle(make_folder: MakeFolder):
    folder = make_folder({"words.bin": b"\x01\x02"})
    (folder / "weights.bin").write_bytes(pickle.dumps({}))

    with pytest.raises(BuildError, match=r"`weights.bin` is a pickle"):
        read_checkpoint(folder, has_handler=True)

    (folder / "weights.bin").unlink()
    assert read_checkpoint(folder, has_handler=True).kind is Kind.CODE
