"""A real quantization: a small graph with an embedding, a linear layer and a Gelu goes through."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from portside.artifact.optimize import quantize
from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY, WIDTH = 50, 64


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, ...]:
    """`ids ─Gather─▶ rows ─MatMul, Add─▶ Gelu, spelled out as exporters do ─▶ logits`."""
    random = np.random.default_rng(3)
    weights = {
        "embedding": random.normal(size=(VOCABULARY, WIDTH)),
        "weight": random.normal(size=(WIDTH, WIDTH)) / 8,
        "bias": random.normal(size=WIDTH),
        "root": np.array(2**0.5),
        "one": np.array(1.0),
        "half": np.array(0.5),
    }
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["x"]),
        helper.make_node("Div", ["x", "root"], ["scaled"]),
        helper.make_node("Erf", ["scaled"], ["erf"]),
        helper.make_node("Add", ["erf", "one"], ["raised"]),
        helper.make_node("Mul", ["x", "raised"], ["doubled"]),
        helper.make_node("Mul", ["doubled", "half"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", "tokens", WIDTH])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    folder = tmp_path / "export"
    folder.mkdir()
    onnx.save_model(
        model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data"
    )
    return tuple(sorted(folder.iterdir()))


def run(path: Path, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [logits] = session.run(None, {"input_ids": ids})
    return np.asarray(logits)


def test_the_quantized_graph_answers_nearly_as_before_in_a_fraction_of_the_bytes(
    exported: tuple[Path, ...], tmp_path: Path
):
    made = quantize(exported, tmp_path / "cache")

    assert [path.name for path in made] == [path.name for path in exported]
    nodes = onnx.load(made[0], load_external_data=False).graph.node
    operators = Counter(node.op_type for node in nodes)
    assert operators["MatMulInteger"] == operators["Gelu"] == 1
    assert operators["MatMul"] == operators["Erf"] == 0
    data = {path.name: path.stat().st_size for path in made}["model.onnx.data"]
    assert data < 0.4 * {path.name: path.stat().st_size for path in exported}["model.onnx.data"]
    ids = np.arange(VOCABULARY).reshape(2, -1)
    expected, found = run(exported[0], ids), run(made[0], ids)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_what_was_quantized_once_is_found_again(exported: tuple[Path, ...], tmp_path: Path):
    made = quantize(exported, tmp_path / "cache")

    assert quantize(exported, tmp_path / "cache", is_installed=lambda _: False) == made

    exported[1].write_bytes(exported[1].read_bytes()[:-1] + b"!")
    assert quantize(exported, tmp_path / "cache") != made


def test_a_graph_that_cannot_be_read_leaves_only_a_log(tmp_path: Path):
    graph = tmp_path / "model.onnx"
    graph.write_text("not a graph")

    with pytest.raises(BuildError, match="cannot quantize") as caught:
        quantize([graph], tmp_path / "cache")

    [log] = (tmp_path / "cache").iterdir()
    assert str(log) in (caught.value.hint or "")
    assert "Traceback" in log.read_text(encoding="utf-8")
