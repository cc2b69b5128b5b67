from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.graph.export import TOLERANCE, export, export_folder
from portside.errors import BuildError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.artifact.folder.checkpoint import Checkpoint

    MakeFolder = Callable[..., Path]


@pytest.fixture
def checkpoint(make_folder: MakeFolder) -> Checkpoint:
    return read_checkpoint(make_folder({"model.safetensors": "weights"}), has_handler=False)


def test_says_what_to_install(checkpoint: Checkpoint, tmp_path: Path):
    cache = tmp_path / "cache"

    with pytest.raises(MissingToolError, match="`torch`, `onnxscript` not installed") as caught:
        export(checkpoint, cache, is_installed=lambda name: name not in {"torch", "onnxscript"})

    assert "pip install 'portside[export]'" in (caught.value.hint or "")
    assert not cache.exists()


def test_says_what_a_vocabulary_needs(make_folder: MakeFolder, tmp_path: Path):
    files = {"model.safetensors": "w", "tokenizer.json": None, "spm.model": "vocabulary"}
    checkpoint = read_checkpoint(make_folder(files), has_handler=False)

    with pytest.raises(MissingToolError, match="`sentencepiece`, which reads its") as caught:
        export(checkpoint, tmp_path, is_installed=lambda name: name != "sentencepiece")

    assert "pip install sentencepiece" in (caught.value.hint or "")


def test_a_tokenizer_that_was_made_is_told_from_the_graph(checkpoint: Checkpoint, tmp_path: Path):
    folder = export_folder(checkpoint, tmp_path)
    exported(folder, 2e-6)
    (folder / "tokenizer.json").write_text("{}")

    found = export(checkpoint, tmp_path, is_installed=not_installed)

    assert [path.name for path in found.files] == ["model.onnx"]
    assert found.tokenizer == folder / "tokenizer.json"


def test_a_checkpoint_without_a_task_cannot_be_exported(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.safetensors": "weights"})

    with pytest.raises(BuildError, match="no task of its own"):
        export(read_checkpoint(folder, has_handler=True), tmp_path)


def exported(folder: Path, difference: float) -> None:
    folder.mkdir()
    (folder / "model.onnx").write_text("graph")
    (folder / "export.json").write_text(json.dumps({"largest_difference": difference}))


def not_installed(_: str) -> bool:
    return False


def test_an_earlier_export_needs_no_torch(checkpoint: Checkpoint, tmp_path: Path):
    exported(export_folder(checkpoint, tmp_path), 2e-6)

    found = export(checkpoint, tmp_path, is_installed=not_installed)

    assert [path.name for path in found.files] == ["model.onnx"]
    assert found.largest_difference == 2e-6


@pytest.mark.parametrize("changed", ["model.safetensors", "config.json", "tokenizer.json"])
def test_changed_files_are_exported_anew(changed: str, checkpoint: Checkpoint, tmp_path: Path):
    exported(export_folder(checkpoint, tmp_path), 2e-6)
    file = checkpoint.folder / changed
    file.write_bytes(file.read_bytes() + b" ")

    with pytest.raises(MissingToolError):
        export(checkpoint, tmp_path, is_installed=not_installed)


@pytest.mark.parametrize("difference", [2 * TOLERANCE, float("nan")])
def test_a_graph_that_answers_otherwise_is_refused(
    difference: float, checkpoint: Checkpoint, tmp_path: Path
):
    exported(export_folder(checkpoint, tmp_path), difference)

    with pytest.raises(BuildError, match="the outputs of the graph differ"):
        export(checkpoint, tmp_path, is_installed=not_installed)
