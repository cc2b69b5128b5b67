"""A real quantization: a small graph with an embedding, a linear layer and a Gelu goes through."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from portside.artifact.graph.optimize import Quantizer
from portside.artifact.graph.recipe import Recipe
from portside.artifact.graph.row_range import scale_rows
from portside.artifact.graph.section import Section
from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY, WIDTH = 50, 64


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, ...]:
    return make_graph(tmp_path / "export")


def make_graph(folder: Path, *, loud: float = 1.0) -> tuple[Path, ...]:
    """`ids ─Gather─▶ rows ─MatMul, Add─▶ Gelu, spelled out as exporters do ─▶ logits`.

    The numbers of the first token are so many times as large.
    """
    random = np.random.default_rng(3)
    weights = {
        "embedding": random.normal(size=(VOCABULARY, WIDTH)),
        "weight": random.normal(size=(WIDTH, WIDTH)) / 8,
        "bias": random.normal(size=WIDTH),
        "root": np.array(2**0.5),
        "one": np.array(1.0),
        "half": np.array(0.5),
    }
    weights["embedding"][0] *= loud
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["rows"], name="words"),
        helper.make_node("MatMul", ["rows", "weight"], ["product"], name="product"),
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
    folder.mkdir()
    onnx.save_model(
        model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data"
    )
    return tuple(sorted(folder.iterdir()))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """What the graph is fed for three samples."""
    file = tmp_path / "inputs.json"
    rows = [[1, 2, 3], [4, 5], list(range(VOCABULARY))]
    file.write_text(json.dumps([{"input_ids": row} for row in rows]))
    return file


def run(path: Path, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [logits] = session.run(None, {"input_ids": ids})
    return np.asarray(logits)


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


def harm(exported: Path, made: Path) -> float:
    """The largest difference, as a part of the largest number."""
    ids = np.arange(VOCABULARY).reshape(2, -1)
    expected, found = run(exported, ids), run(made, ids)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_the_quantized_graph_answers_nearly_as_before_in_a_fraction_of_the_bytes(
    exported: tuple[Path, ...], inputs: Path, tmp_path: Path
):
    made = Quantizer(exported, inputs, tmp_path / "cache").quantize(Recipe())

    assert [path.name for path in made] == [path.name for path in exported]
    found = operators(made[0])
    assert found["MatMulInteger"] == found["Gelu"] == 1
    assert found["MatMul"] == found["Erf"] == 0
    data = {path.name: path.stat().st_size for path in made}["model.onnx.data"]
    assert data < 0.4 * {path.name: path.stat().st_size for path in exported}["model.onnx.data"]
    assert 0 < harm(exported[0], made[0]) < 0.05


def test_each_recipe_makes_a_graph_of_its_own_that_answers_nearly_as_before(
    exported: tuple[Path, ...], inputs: Path, tmp_path: Path
):
    quantizer = Quantizer(exported, inputs, tmp_path / "cache")
    recipes = [
        Recipe(per_channel=True, reduce_range=True),
        Recipe(static=True),
        Recipe(by_row=True, per_channel=True),
    ]

    graphs = [quantizer.quantize(recipe)[0] for recipe in recipes]

    assert "QuantizeLinear" in operators(graphs[1])
    for graph in graphs:
        assert 0 < harm(exported[0], graph) < 0.1
    assert len({graph.read_bytes() for graph in graphs}) == len(graphs)


def test_by_row_a_token_with_large_numbers_does_not_spoil_the_others(inputs: Path, tmp_path: Path):
    exported = make_graph(tmp_path / "loud", loud=100.0)
    quantizer = Quantizer(exported, inputs, tmp_path / "cache")
    ids = np.arange(VOCABULARY).reshape(2, -1)
    expected = run(exported[0], ids)
    embedding = Section(number=0, nodes=("words",))
    mean = {}
    for by_row in (False, True):
        recipe = Recipe(by_row=by_row, per_channel=True, kept=(embedding,))
        graph = quantizer.quantize(recipe)[0]
        mean[by_row] = float(np.abs(run(graph, ids) - expected)[0, 1:].mean())

    assert mean[True] < mean[False] / 5


def test_rows_that_are_scaled_answer_as_before(tmp_path: Path):
    exported = make_graph(tmp_path / "loud", loud=0.0)  # a row of zeros, as padding has it
    model = onnx.load(exported[0])
    names = {node.name for node in model.graph.node if node.op_type == "MatMul"}
    scale_rows(model, names)
    scaled = tmp_path / "scaled.onnx"
    onnx.save(model, scaled)
    ids = np.arange(VOCABULARY).reshape(2, -1)

    assert operators(scaled)["ReduceMax"] == len(names) == 1
    assert np.allclose(run(scaled, ids), run(exported[0], ids), atol=1e-5)


def test_the_section_that_int8_harms_most_can_be_left_alone(
    exported: tuple[Path, ...], inputs: Path, tmp_path: Path
):
    quantizer = Quantizer(exported, inputs, tmp_path / "cache")

    [worst] = quantizer.rank()  # the graph has no LayerNormalization, so it is one section
    made = quantizer.quantize(Recipe(kept=(worst,)))

    assert len(worst.nodes) == 2
    assert harm(exported[0], made[0]) < 1e-5


def test_what_was_quantized_once_is_found_again(
    exported: tuple[Path, ...], inputs: Path, tmp_path: Path
):
    cache = tmp_path / "cache"
    made = Quantizer(exported, inputs, cache).quantize(Recipe())

    without_tools = Quantizer(exported, inputs, cache, is_installed=lambda _: False)
    assert without_tools.quantize(Recipe()) == made

    exported[1].write_bytes(exported[1].read_bytes()[:-1] + b"!")
    assert Quantizer(exported, inputs, cache).quantize(Recipe()) != made


def test_a_graph_that_cannot_be_read_leaves_only_a_log(tmp_path: Path, inputs: Path):
    graph = tmp_path / "model.onnx"
    graph.write_text("not a graph")

    with pytest.raises(BuildError, match="cannot quantize") as caught:
        Quantizer([graph], inputs, tmp_path / "cache").quantize(Recipe())

    [log] = (tmp_path / "cache").iterdir()
    assert str(log) in (caught.value.hint or "")
    assert "Traceback" in log.read_text(encoding="utf-8")
