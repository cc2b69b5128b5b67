"""Embeddings in fewer bits: the rows that a text needs become numbers again as they are looked up.

    8 bits    ids ─▶ Gather ─▶ Cast ─▶ Mul by the scale of each column
    16 bits   ids ─▶ Gather ─▶ Cast      (floats of 16 bits, good to one part in two thousand)

onnxruntime's own quantization has one scale for a whole table, which a few words with large
numbers spoil for all others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from portside.artifact.graph.column import round_columns


def lookups(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes that take rows of a table of weights."""
    tables = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2
    }
    return {
        node.name
        for node in model.graph.node
        if node.op_type == "Gather"
        and node.input[0] in tables
        and all(attribute.i == 0 for attribute in node.attribute)  # its axis: whole rows
    }


def shorten_lookups(
    model: onnx.ModelProto, names: Collection[str], *, exact: Collection[str] = ()
) -> None:
    """Keep the tables of these lookups in 8 bits, and of those that are `exact` in 16."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    made: dict[str, onnx.TensorProto] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name not in names:
            nodes.append(node)
            continue
        table = numpy_helper.to_array(tensors[node.input[0]])
        if node.name in exact:
            nodes += _from_halves(node, table.astype(np.float16), made)
        else:
            nodes += _from_integers(node, *round_columns(table), made)
    graph.initializer.extend(made.values())
    del graph.node[:]
    graph.node.extend(nodes)


def _from_halves(
    node: onnx.NodeProto, table: npt.NDArray[np.float16], made: dict[str, onnx.TensorProto]
) -> Iterator[onnx.NodeProto]:
    name, [output] = f"{node.input[0]}_half", node.output
    made[name] = numpy_helper.from_array(table, name)
    yield helper.make_node(
        "Gather", [name, node.input[1]], [f"{output}_half"], name=f"{node.name}_Rows"
    )
    yield _cast(f"{output}_half", output, name=node.name)


def _from_integers(
    node: onnx.NodeProto,
    table: npt.NDArray[np.int8],
    scales: npt.NDArray[np.float32],
    made: dict[str, onnx.TensorProto],
) -> Iterator[onnx.NodeProto]:
    name, [output] = node.input[0], node.output
    for suffix, array in (("integers", table), ("scales", scales)):
        made[f"{name}_{suffix}"] = numpy_helper.from_array(array, f"{name}_{suffix}")
    rows = f"{output}_integers"
    yield helper.make_node(
        "Gather", [f"{name}_integers", node.input[1]], [rows], name=f"{node.name}_Rows"
    )
    yield _cast(rows, f"{output}_cast", name=f"{node.name}_Cast")
    scaled = [f"{output}_cast", f"{name}_scales"]
    yield helper.make_node("Mul", scaled, [output], name=node.name)


def _cast(source: str, output: str, *, name: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [output], name=name, to=onnx.TensorProto.FLOAT)
