"""Products of halves, as onnxruntime computes them: with and without bias, input shared or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from portside.artifact.graph.half import multiply_halves
from portside.artifact.graph.lookup import lookups, shorten_lookups

if TYPE_CHECKING:
    from collections.abc import Callable

VOCABULARY, WIDTH = 40, 64
IDS = np.arange(VOCABULARY).reshape(2, -1)


def make_model() -> onnx.ModelProto:
    """`ids ─Gather─▶ rows ─▶ first, second (with a bias) ─▶ logits`; some tokens are loud."""
    random = np.random.default_rng(5)
    weights = {
        "table": random.normal(size=(VOCABULARY, WIDTH)),
        "w1": random.normal(size=(WIDTH, WIDTH)) / 8,
        "w2": random.normal(size=(WIDTH, WIDTH)) / 8,
        "bias": random.normal(size=WIDTH),
    }
    weights["table"][0] *= 10
    weights["table"][1] = 0
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"], name="words"),
        helper.make_node("MatMul", ["rows", "w1"], ["one"], name="first"),
        helper.make_node("MatMul", ["rows", "w2"], ["two"], name="second"),
        helper.make_node("Add", ["bias", "two"], ["raised"], name="bias"),
        helper.make_node("Add", ["one", "raised"], ["logits"], name="together"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", "tokens", WIDTH])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def error(change: Callable[[onnx.ModelProto], None]) -> float:
    """The mean difference that a change makes, loud tokens left aside."""
    model = make_model()
    before = run(model)
    change(model)
    return float(np.abs(run(model) - before)[0, 1:].mean())


def run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    [logits] = session.run(None, {"input_ids": IDS})
    return np.asarray(logits)


@pytest.fixture
def halved() -> onnx.ModelProto:
    model = make_model()
    multiply_halves(model, {"first", "second"}, exact={"second"})
    return model


def test_both_halves_of_weights_make_products_exact_and_one_is_good_to_eight_bits():
    names = {"first", "second"}
    once = error(lambda model: multiply_halves(model, names))
    exact = error(lambda model: multiply_halves(model, names, exact=names))

    assert 1e-3 < once < 1e-2
    assert exact < once / 10


def test_a_shared_input_is_divided_once_and_a_bias_goes_into_its_product(halved: onnx.ModelProto):
    operators = [node.op_type for node in halved.graph.node]
    products = [node for node in halved.graph.node if node.op_type == "MatMulIntegerToFloat"]

    assert operators.count("DynamicQuantizeLinear") == operators.count("QuantizeLinear") == 1
    assert "MatMul" not in operators
    assert len(products) == 2 + 3
    assert [node.input[-1] for node in products].count("bias") == 1
    assert np.abs(run(halved) - run(make_model())).max() < 1.0


def test_tokens_with_large_numbers_do_not_spoil_the_others():
    exact = error(lambda model: multiply_halves(model, {"first"}, exact={"first"}))

    assert exact < 1e-3


def test_lookups_keep_eight_or_sixteen_bits():
    found = lookups(make_model())
    short = error(lambda model: shorten_lookups(model, found))
    exact = error(lambda model: shorten_lookups(model, found, exact=found))

    assert found == {"words"}
    assert 0 < exact < short / 10
