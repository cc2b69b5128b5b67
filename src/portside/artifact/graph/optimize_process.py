"""Fuse and quantize a graph; the only place that imports onnxruntime's tools for that.

    python -m portside.artifact.graph.optimize_process quantize GRAPH INPUTS RECIPE OUTPUT
    python -m portside.artifact.graph.optimize_process rank     GRAPH INPUTS ""     OUTPUT

    GRAPH ──fuse──▶ Gelu in one node ──quantize──▶ 8-bit weights ──▶ OUTPUT/model.onnx (+ .data)

Run by `optimize` in a process of its own, because the graph is in memory several
times over, which goes back to the machine when the process ends. RECIPE is a
`Recipe` in JSON; INPUTS what the graph is fed for each sample, as `answer_process`
has written it.

Unless the recipe is static, weights are 8-bit integers in the file and activations
become such at run time, each matrix by its own range, so no texts are needed to
find the ranges. What was measured, and why so little is fused, stands in
`docs/decisions/0007-backend-settings.md`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from portside.artifact.apart import steps
from portside.artifact.graph.column import round_columns
from portside.artifact.graph.export import GRAPH
from portside.artifact.graph.half import multiply_halves
from portside.artifact.graph.lookup import lookups, shorten_lookups
from portside.artifact.graph.optimize import RANKING
from portside.artifact.graph.row_range import scale_rows
from portside.artifact.graph.section import Section, sections

Feed = dict[str, npt.NDArray[np.int64]]
Array = npt.NDArray[np.float32]

QUANTIZED_OPERATORS: Final = ("MatMul", "Gemm")
"""The weights of linear layers; with the embeddings, which `lookup` sees to, over 99 % of all. The
rest are biases and the like, whose quantization would cost time in each prediction and save none.
"""

NOT_FUSED: Final = (
    # Fewer nodes, and as fast or slower, on a CPU.
    "enable_attention",
    "enable_bias_gelu",
    "enable_embed_layer_norm",
    # onnxruntime's kernel takes several times as long as the two that it stands for.
    "enable_skip_layer_norm",
    "enable_bias_skip_layer_norm",
)

FUSED_DOMAIN: Final = "com.microsoft"
"""Of the operators that fusion makes; version 1 is the only one."""

CALIBRATED: Final = 64
RANKED: Final = 16
"""Samples that are enough to find ranges, and to tell harmless sections from harmful ones."""


def quantize(graph: Path, feeds: Sequence[Feed], recipe: dict[str, Any], output: Path) -> None:
    """Write `model.onnx` and `model.onnx.data` into the folder `output`."""
    model = fuse(graph)
    kept = {node for section in recipe["kept"] for node in section["nodes"]}
    if recipe["halves"]:
        shorten_lookups(model, lookups(model), exact=kept)
        multiply_halves(model, _products(model), exact=kept)
        _save(model, output / GRAPH)
        return
    shorten_lookups(model, lookups(model) - kept)
    if recipe["by_row"]:
        scale_rows(model, _products(model) - kept)
    _drop_unused(model)
    options = {
        "per_channel": recipe["per_channel"],
        "reduce_range": recipe["reduce_range"],
        "op_types_to_quantize": list(QUANTIZED_OPERATORS),
        "nodes_to_exclude": sorted(kept),
        # Signed: CPUs with AMX run unsigned weights at a third of the speed.
        "weight_type": QuantType.QInt8,
        # Mapped into memory where one file would be parsed and copied.
        "use_external_data_format": True,
        # For tensors whose type cannot be inferred, behind operators of `FUSED_DOMAIN`.
        "extra_options": {"DefaultTensorType": onnx.TensorProto.FLOAT},
    }
    if recipe["static"]:
        quantize_static(
            model,
            output / GRAPH,
            _Reader(feeds[:CALIBRATED]),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            **options,
        )
    else:
        quantize_dynamic(model, output / GRAPH, **options)


def rank(
    graph: Path, feeds: Sequence[Feed], output: Path, *, say: Callable[[str], None]
) -> list[Section]:
    """The sections of a graph, the one that does the most harm when it is quantized first.

    The weights of each are rounded alone, and the graph's outputs compared with those of fp32.
    """
    model = fuse(graph)
    feeds = feeds[:RANKED]
    parts = sections(_nodes(model))
    weights = _weights(model)
    harm: dict[Section, float] = {}
    with tempfile.TemporaryDirectory(dir=output) as folder:
        path = Path(folder) / GRAPH
        _save(model, path)
        expected = _outputs(path, feeds)
        for number, section in enumerate(parts, 1):
            say(f"trying section {number} of {len(parts)} in int8")
            found = _outputs(path, feeds, replaced=_rounded(section, weights))
            harm[section] = float(
                np.mean([np.abs(a - b).mean() for a, b in zip(expected, found, strict=True)])
            )
    return sorted(harm, key=lambda section: -harm[section])


def fuse(graph: Path) -> onnx.ModelProto:
    """The graph with fewer nodes.

    At level 0: onnxruntime's own optimizations come when it is loaded, for that very CPU.
    """
    options = FusionOptions("bert")
    for name in NOT_FUSED:
        setattr(options, name, False)
    fused: onnx.ModelProto = optimize_model(
        str(graph), model_type="bert", opt_level=0, optimization_options=options
    ).model
    if FUSED_DOMAIN not in {opset.domain for opset in fused.opset_import}:
        fused.opset_import.append(onnx.helper.make_opsetid(FUSED_DOMAIN, 1))
    for number, node in enumerate(fused.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"  # sections go by them
    return fused


def _nodes(model: onnx.ModelProto) -> Iterator[tuple[str, str, bool]]:
    quantizable = _products(model) | lookups(model)
    for node in model.graph.node:
        yield node.name, node.op_type, node.name in quantizable or node.op_type == "Gemm"


def _products(model: onnx.ModelProto) -> set[str]:
    """Names of the products with weights; others have two matrices that come as they come."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return {n.name for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in weights}


def _weights(model: onnx.ModelProto) -> dict[str, dict[str, Array]]:
    """By node: its matrices, by their names."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        node.name: {
            name: numpy_helper.to_array(tensors[name])
            for name in node.input
            if name in tensors and len(tensors[name].dims) == 2
        }
        for node in model.graph.node
        if node.op_type in {*QUANTIZED_OPERATORS, "Gather"}
    }


def _rounded(section: Section, weights: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Its matrices by their names, as 8 bits hold them."""
    found = {}
    for node in section.nodes:
        for name, matrix in weights[node].items():
            integers, scales = round_columns(matrix)
            found[name] = integers * scales
    return found


def _outputs(
    graph: Path, feeds: Sequence[Feed], *, replaced: Mapping[str, Array] | None = None
) -> list[Array]:
    """What the graph gives, with some of its weights replaced."""
    options = onnxruntime.SessionOptions()
    values = {
        name: onnxruntime.OrtValue.ortvalue_from_numpy(array)
        for name, array in (replaced or {}).items()
    }
    for name, value in values.items():
        options.add_initializer(name, value)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return [output for feed in feeds for output in session.run(None, feed)]


def _save(model: onnx.ModelProto, path: Path) -> None:
    _drop_unused(model)
    onnx.save(model, path, save_as_external_data=True, location=f"{GRAPH}.data")


def _drop_unused(model: onnx.ModelProto) -> None:
    """Weights in whose place others have come."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """What the graph is fed to find the ranges of its activations."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        """The next one, None at the end."""
        return next(self._feeds, None)


def _read_feeds(path: Path) -> list[Feed]:
    feeds = json.loads(path.read_text(encoding="utf-8"))
    return [{name: np.array([row], dtype=np.int64) for name, row in feed.items()} for feed in feeds]


def main() -> None:
    """Do what the command line says; a failure leaves a traceback."""
    what, graph, inputs, recipe, output = sys.argv[1:]
    feeds = _read_feeds(Path(inputs))
    with steps() as say:
        if what == "rank":
            ranked = rank(Path(graph), feeds, Path(output), say=say)
            text = json.dumps([asdict(section) for section in ranked])
            (Path(output) / RANKING).write_text(text, encoding="utf-8")
        else:
            quantize(Path(graph), feeds, json.loads(recipe), Path(output))


if __name__ == "__main__":
    main()
