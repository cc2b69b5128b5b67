"""Activations quantized by the range of each row, which is each token, and not of the whole batch.

onnxruntime finds one range for a whole matrix as it comes. One token with large numbers,
and trained encoders have some in every text, leaves few of the 256 steps to all others,
those of the texts beside it in the batch too. So each row is
brought to the range from -1 to 1 first, and the product scaled back:

    x ─┬─▶ largest |x| of the row ──▶ r ─────────────┐
       └───────────────▶ x / r ──▶ MatMul (8 bits) ──▶ by r
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

_AXES: Final = "row_axes"
_LEAST: Final = "row_least"

_SMALLEST: Final = 1e-12
"""A row of zeros, as padding may be, stays one."""


def scale_rows(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Do so around the products of these names; an input that several share is scaled once."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), _AXES))
    graph.initializer.append(numpy_helper.from_array(np.array(_SMALLEST, np.float32), _LEAST))
    scaled: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name not in names:
            nodes.append(node)
            continue
        source = node.input[0]
        if source not in scaled:
            scaled[source] = f"rows_{len(scaled)}"
            nodes += _rows_of(source, scaled[source])
        nodes += _around(node, scaled[source])
    del graph.node[:]
    graph.node.extend(nodes)


def _rows_of(source: str, rows: str) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Abs", [source], [f"{rows}_abs"], name=f"{rows}_Abs")
    reduced = [f"{rows}_abs", _AXES]
    yield helper.make_node(
        "ReduceMax", reduced, [f"{rows}_max"], name=f"{rows}_ReduceMax", keepdims=1
    )
    yield helper.make_node("Max", [f"{rows}_max", _LEAST], [f"{rows}_range"], name=f"{rows}_Max")
    yield helper.make_node("Div", [source, f"{rows}_range"], [f"{rows}_unit"], name=f"{rows}_Div")


def _around(node: onnx.NodeProto, rows: str) -> Iterator[onnx.NodeProto]:
    [output] = node.output
    node.input[0] = f"{rows}_unit"
    node.output[0] = f"{output}_unit"
    yield node
    scaled = [f"{output}_unit", f"{rows}_range"]
    yield helper.make_node("Mul", scaled, [output], name=f"{node.name}_Rows")
