from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from portside.archive import unpack
from portside.artifact.bundle import package
from portside.artifact.folder.architecture import Task
from portside.artifact.proof.proof import Gate
from portside.artifact.served_graph import ServedGraph, Wanted
from portside.errors import BuildError, MissingToolError
from tests.unit.artifact.report_values import make_proof

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.artifact.folder.checkpoint import Checkpoint

    MakeFolder = Callable[..., Path]

CLASSIFIER = "DistilBertForSequenceClassification"


def test_a_checkpoint_and_a_handler(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.onnx": "graph", "optimizer.pt": "12345"})
    (tmp_path / "inference.py").write_text("import json")
    output = tmp_path / ".portside/model.tar.gz"

    made = package(folder, output=output, handler=tmp_path / "inference.py")

    members = ("code/inference.py", "config.json", "model.onnx", "tokenizer.json")
    assert made.members == members == unpack(output, tmp_path / "out")
    assert (tmp_path / "out/code/inference.py").read_text() == "import json"
    assert [(str(left.path), left.size_bytes) for left in made.left_out] == [("optimizer.pt", 5)]
    assert made.size_bytes == output.stat().st_size


def test_same_files_same_digest(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.onnx": "graph", "a/b": "x"})
    first = package(folder, output=tmp_path / "1.tar.gz")
    for file in folder.rglob("*"):
        os.utime(file, (1, 1))
    (folder / ".DS_Store").write_text("of no account")

    assert package(folder, output=tmp_path / "2.tar.gz").digest == first.digest

    (folder / "a/b").write_text("y")
    assert package(folder, output=tmp_path / "3.tar.gz").digest != first.digest


class Chosen:
    """A chooser whose graph is a file that the test has written."""

    def __init__(self, folder: Path) -> None:
        self.graph = folder / "model.onnx"
        folder.mkdir()
        self.graph.write_text("the graph")
        self.asked: list[tuple[Task, Wanted, Path]] = []

    def __call__(
        self, checkpoint: Checkpoint, task: Task, *, wanted: Wanted, cache: Path, **_: object
    ) -> ServedGraph:
        self.asked.append((task, wanted, cache))
        return ServedGraph(files=(self.graph,), proof=make_proof())


def test_safetensors_get_a_graph_for_the_task(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.safetensors": "weights"}, architectures=[CLASSIFIER])
    chosen, gate = Chosen(tmp_path / "graph"), Gate(agreement=0.9)

    made = package(
        folder,
        output=tmp_path / "out/model.tar.gz",
        precision="int8",
        samples=tmp_path / "texts.txt",
        gate=gate,
        strategy="first",
        chooser=chosen,
    )

    wanted = Wanted(precision="int8", gate=gate, samples=tmp_path / "texts.txt", strategy="first")
    assert chosen.asked == [(Task.TEXT_CLASSIFICATION, wanted, tmp_path / "out")]
    assert made.members == ("config.json", "model.onnx", "tokenizer.json")
    assert made.proof == make_proof()
    assert [left.reason for left in made.left_out] == ["exported to ONNX"]
    unpack(made.path, tmp_path / "unpacked")
    assert (tmp_path / "unpacked/model.onnx").read_text() == "the graph"


def test_samples_and_reports_beside_the_weights_stay_out(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.onnx": "graph", "dev.txt": "private", "report.html": "old"})

    made = package(folder, output=tmp_path / "model.tar.gz", samples=folder / "dev.txt")

    assert made.members == ("config.json", "model.onnx", "tokenizer.json")
    assert {left.path.name for left in made.left_out} == {"dev.txt", "report.html"}


def test_what_was_not_exported_is_not_quantized(make_folder: MakeFolder, tmp_path: Path):
    with pytest.raises(BuildError, match="only a graph exported by Portside"):
        package(
            make_folder({"model.onnx": "graph"}),
            output=tmp_path / "model.tar.gz",
            precision="int8",
        )


def test_a_handler_gets_the_safetensors_as_they_are(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.safetensors": "weights"})
    (tmp_path / "inference.py").write_text("")

    made = package(folder, output=tmp_path / "m.tar.gz", handler=tmp_path / "inference.py")

    assert "model.safetensors" in made.members


def test_a_handler_alone(tmp_path: Path):
    (tmp_path / "inference.py").write_text("")

    made = package(None, output=tmp_path / "m.tar.gz", handler=tmp_path / "inference.py")

    assert made.members == ("code/inference.py",)


def test_neither_model_nor_handler(tmp_path: Path):
    with pytest.raises(BuildError, match="neither a model nor a handler"):
        package(None, output=tmp_path / "m.tar.gz")


def test_the_handler_takes_the_place_of_code_in_the_checkpoint(
    make_folder: MakeFolder, tmp_path: Path
):
    folder = make_folder({"model.onnx": "w", "code/inference.py": "old", "code/old.py": ""})
    (tmp_path / "inference.py").write_text("new")

    made = package(folder, output=tmp_path / "m.tar.gz", handler=tmp_path / "inference.py")

    assert {str(left.path) for left in made.left_out} == {"code/inference.py", "code/old.py"}
    unpack(made.path, tmp_path / "out")
    assert (tmp_path / "out/code/inference.py").read_text() == "new"


def test_the_folder_of_the_project_can_be_the_checkpoint(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.onnx": "w", "portside.toml": "", "inference.py": ""})
    output = folder / ".portside/model.tar.gz"

    first = package(folder, output=output, handler=folder / "inference.py")
    again = package(folder, output=output, handler=folder / "inference.py")

    assert first.digest == again.digest
    assert first.members == ("code/inference.py", "config.json", "model.onnx", "tokenizer.json")


def test_a_failure_leaves_the_earlier_artifact(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.safetensors": "weights"})
    output = tmp_path / "out/model.tar.gz"
    output.parent.mkdir()
    output.write_text("the earlier one")

    def chooser(*_: object, **__: object) -> ServedGraph:
        raise MissingToolError("no torch")

    with pytest.raises(MissingToolError):
        package(folder, output=output, chooser=chooser)

    assert output.read_text() == "the earlier one"
    assert list(output.parent.iterdir()) == [output]


def test_progress_in_words(make_folder: MakeFolder, tmp_path: Path):
    folder = make_folder({"model.onnx": bytes(3_000_000)})
    heard: list[str] = []

    package(folder, output=tmp_path / "m.tar.gz", progress=heard.append)

    assert heard[0] == "reading the checkpoint"
    assert heard[-1] == "packing, 3 of 3 MB"
    assert len(heard) < 15
