from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.archive import unpack
from portside.artifact.bundle import Precision, package
from portside.artifact.export import Export
from portside.artifact.optimize import quantize
from portside.errors import BuildError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from portside.artifact.checkpoint import Checkpoint

    MakeFolder = Callable[..., Path]


def graph(folder: Path, content: str = "graph") -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / "model.onnx", folder / "model.onnx.data")
    for file in files:
        file.write_text(content)
    return files


def test_says_what_to_install(tmp_path: Path):
    with pytest.raises(MissingToolError, match="int8: `onnx` not installed") as caught:
        quantize(graph(tmp_path), tmp_path / "cache", is_installed=lambda name: name != "onnx")

    assert "portside[export]" in (caught.value.hint or "")
    assert not (tmp_path / "cache").exists()


class Quantizer:
    def __init__(self, made: Sequence[Path]) -> None:
        self.made = made
        self.asked: list[tuple[Sequence[Path], Path]] = []

    def __call__(self, exported: Sequence[Path], cache: Path) -> Sequence[Path]:
        self.asked.append((exported, cache))
        return self.made


@pytest.mark.parametrize(("precision", "is_quantized"), [("int8", True), ("fp32", False)])
def test_the_quantized_graph_takes_the_place_of_the_exported_one(
    precision: Precision, is_quantized: bool, make_folder: MakeFolder, tmp_path: Path
):
    exported = graph(tmp_path / "exported", "32 bits")
    quantizer = Quantizer(graph(tmp_path / "quantized", "8 bits"))

    def exporter(checkpoint: Checkpoint, cache: Path) -> Export:
        return Export(files=exported, largest_difference=0.0)

    made = package(
        make_folder({"model.safetensors": "weights"}),
        output=tmp_path / "out/model.tar.gz",
        precision=precision,
        exporter=exporter,
        quantizer=quantizer,
    )

    unpack(made.path, tmp_path / "unpacked")
    assert quantizer.asked == ([(exported, tmp_path / "out")] if is_quantized else [])
    expected = "8 bits" if is_quantized else "32 bits"
    assert (tmp_path / "unpacked/model.onnx.data").read_text() == expected


def test_what_was_not_exported_is_not_quantized(make_folder: MakeFolder, tmp_path: Path):
    with pytest.raises(BuildError, match="only a graph exported by Portside"):
        package(
            make_folder({"model.onnx": "graph"}),
            output=tmp_path / "model.tar.gz",
            precision="int8",
        )
