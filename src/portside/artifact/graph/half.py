"""Products of 16-bit numbers, made of products of 8-bit ones.

Eight bits are too few for activations where a model is unsure: many answers hang on the third
digit. But a processor that multiplies 8-bit integers many times as fast as floats does it twice
and still wins. So each matrix of activations becomes the sum of two, the rounded one and what
rounding has left of it, 254 times as fine:

    x ─┬─▶ DynamicQuantizeLinear ─▶ high ────────────▶ high by W ─┐
       └───▶ Sub what high stands for ─▶ QuantizeLinear ─▶ low by W ─┴─▶ Add

Weights have 8 bits, with a scale for each column; those that are to be exact have a low half
too, and a third product, of the high half of x with it. The fourth, of both low halves, would
be smaller than what rounding leaves of the others. This is how floats are multiplied on integer
units elsewhere: Ootomo, Ozaki and Yokota, "DGEMM on integer matrix multiplication unit" (2024).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from portside.artifact.graph.column import round_columns, to_integers

_DOMAIN: Final = "com.microsoft"
"""Of `MatMulIntegerToFloat`, which multiplies integers and scales the product."""

_FINER: Final = 254
"""How many times: what rounding leaves is half a step on either side, and so fills 8 bits."""

_ZERO: Final = "half_zero"
_STEP: Final = "half_step"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Factor:
    """The name of a matrix of integers, of its scale, and of the integer that stands for 0."""

    values: str
    scale: str
    zero: str = ""


def multiply_halves(
    model: onnx.ModelProto, names: Collection[str], *, exact: Collection[str] = ()
) -> None:
    """Do so for the products of these names; for those that are `exact`, with both of W's halves.

    An input that several share is divided once; a bias that follows a product goes into it.
    """
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    biases = _biases(graph, names)
    folded = {output for _, output in biases.values()}
    made = {
        _ZERO: numpy_helper.from_array(np.array(128, np.uint8), _ZERO),
        _STEP: numpy_helper.from_array(np.array(1 / _FINER, np.float32), _STEP),
    }
    divided: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output[0] in folded:
            continue
        if node.name not in names:
            nodes.append(node)
            continue
        source, weights = node.input
        if source not in divided:
            divided[source] = f"halves_{len(divided)}"
            nodes += _divide(source, divided[source])
        made |= _tensors(weights, numpy_helper.to_array(tensors[weights]), node.name in exact)
        bias, output = biases.get(node.output[0], ("", node.output[0]))
        nodes += _multiply(
            node.name,
            _factors(divided[source], weights, is_exact=node.name in exact),
            bias=bias,
            output=output,
        )
    graph.initializer.extend(made.values())
    del graph.node[:]
    graph.node.extend(nodes)


def _biases(graph: onnx.GraphProto, names: Collection[str]) -> dict[str, tuple[str, str]]:
    """By a product's output: the vector that its only reader, an Add, adds; and what that gives."""
    vectors = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 1}
    products = {node.output[0] for node in graph.node if node.name in names}
    read = Counter(name for node in graph.node for name in node.input)
    read.update(output.name for output in graph.output)
    found = {}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        for product, bias in (tuple(node.input), tuple(reversed(node.input))):
            if product in products and read[product] == 1 and bias in vectors:
                found[product] = (bias, node.output[0])
    return found


def _divide(source: str, halves: str) -> Iterator[onnx.NodeProto]:
    high, low = _high(halves), _low(halves)
    rounded = [high.values, high.scale, high.zero]
    yield helper.make_node("DynamicQuantizeLinear", [source], rounded, name=f"{halves}_High")
    yield helper.make_node(
        "DequantizeLinear", rounded, [f"{halves}_rounded"], name=f"{halves}_Rounded"
    )
    rest = f"{halves}_rest"
    yield helper.make_node("Sub", [source, f"{halves}_rounded"], [rest], name=f"{halves}_Rest")
    yield helper.make_node("Mul", [high.scale, _STEP], [low.scale], name=f"{halves}_Scale")
    yield helper.make_node(
        "QuantizeLinear", [rest, low.scale, low.zero], [low.values], name=f"{halves}_Low"
    )


def _tensors(
    name: str, weights: npt.NDArray[np.float32], is_exact: bool
) -> dict[str, onnx.TensorProto]:
    integers, scales = round_columns(weights)
    high, low = _high(name), _low(name)
    arrays: dict[str, npt.NDArray[Any]] = {high.values: integers, high.scale: scales}
    if is_exact:
        finer = (scales / _FINER).astype(np.float32)
        arrays |= {low.values: to_integers(weights - integers * scales, finer), low.scale: finer}
    return {name: numpy_helper.from_array(array, name) for name, array in arrays.items()}


def _factors(halves: str, weights: str, *, is_exact: bool) -> list[tuple[_Factor, _Factor]]:
    pairs = [(_high(halves), _high(weights)), (_low(halves), _high(weights))]
    return [*pairs, (_high(halves), _low(weights))] if is_exact else pairs


def _multiply(
    name: str, factors: Sequence[tuple[_Factor, _Factor]], *, bias: str, output: str
) -> Iterator[onnx.NodeProto]:
    """The products' sum; the small ones are summed first."""
    total = ""
    for number, (left, right) in reversed(list(enumerate(factors))):
        product = f"{output}_part{number}"
        # The integer that stands for 0 among weights is 0, and needs no name.
        inputs = [left.values, right.values, left.scale, right.scale, left.zero, "", bias]
        yield helper.make_node(
            "MatMulIntegerToFloat",
            inputs if number == 0 and bias else inputs[:-2],
            [product],
            name=f"{name}_Part{number}",
            domain=_DOMAIN,
        )
        if total:
            together = output if number == 0 else f"{product}_sum"
            yield helper.make_node("Add", [product, total], [together], name=f"{name}_Sum{number}")
            product = together
        total = product


def _high(name: str) -> _Factor:
    return _Factor(values=f"{name}_high", scale=f"{name}_high_scale", zero=f"{name}_high_zero")


def _low(name: str) -> _Factor:
    return _Factor(values=f"{name}_low", scale=f"{name}_low_scale", zero=_ZERO)
