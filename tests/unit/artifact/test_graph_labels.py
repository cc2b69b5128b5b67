"""An ONNX classifier scores as many labels as `config.json` names; told by the graph's header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from onnx import TensorProto, helper

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.folder.onnx_file import read_output_width
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    MakeFolder = Callable[..., Path]


def graph(**outputs: Sequence[int | str]) -> bytes:
    """A model with these outputs, of these shapes, as onnx itself writes it."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in outputs.items()
    ]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", 9])]
    nodes = [helper.make_node("Identity", ["input_ids"], [name]) for name in outputs]
    made: bytes = helper.make_model(
        helper.make_graph(nodes, "g", inputs, values)
    ).SerializeToString()
    return made


@pytest.mark.parametrize(
    ("outputs", "width"),
    [
        ({"logits": ["texts", "tokens", 3]}, 3),
        ({"hidden": ["texts", 384], "logits": ["texts", 300]}, 300),
        ({"logits": ["texts", "labels"]}, None),
        ({"logits": []}, None),
        ({"scores": ["texts", 5]}, None),
    ],
)
def test_the_last_dimension_of_an_output(
    outputs: dict[str, Sequence[int | str]], width: int | None, tmp_path: Path
):
    path = tmp_path / "model.onnx"
    path.write_bytes(graph(**outputs))

    assert read_output_width(path, "logits") == width


def test_a_graph_that_scores_other_labels_is_refused(make_folder: MakeFolder):
    folder = make_folder({})  # three labels
    (folder / "model.onnx").write_bytes(graph(logits=["texts", "tokens", 5]))

    with pytest.raises(BuildError) as raised:
        read_checkpoint(folder, has_handler=False)

    assert raised.value.message.endswith("`model.onnx` scores 5 labels, and `id2label` names 3")
    assert "same training" in (raised.value.hint or "")


def test_a_graph_without_names_for_its_labels(make_folder: MakeFolder):
    folder = make_folder({}, id2label=None)
    (folder / "model.onnx").write_bytes(graph(logits=["texts", "tokens", 5]))

    with pytest.raises(BuildError, match="names none, which means 2") as raised:
        read_checkpoint(folder, has_handler=False)

    assert "one name for each output" in (raised.value.hint or "")


def test_a_graph_that_scores_the_same(make_folder: MakeFolder):
    folder = make_folder({})
    (folder / "model.onnx").write_bytes(graph(logits=["texts", "tokens", 3]))

    assert len(read_checkpoint(folder, has_handler=False).labels) == 3
