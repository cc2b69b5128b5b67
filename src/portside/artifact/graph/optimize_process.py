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

import copy
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
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
from portside.artifact.graph.export import GRAPH
from portside.artifact.graph.optimize import RANKING
from portside.artifact.graph.row_range import scale_rows
from portside.artifact.graph.section import Section, sections

Feed = dict[str, npt.NDArray[np.int64]]

QUANTIZED_OPERATORS: Final = ("MatMul", "Gemm", "Gather")
"""The weights of linear layers and the embeddings: over 99 % of all. The rest are biases and the
like, whose quantization would cost time in each prediction and save none."""

STATIC_OPERATORS: Final = ("MatMul", "Gemm")

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
    kept = [node for section in recipe["kept"] for node in section["nodes"]]
    options = {
        "per_channel": recipe["per_channel"],
        "reduce_range": recipe["reduce_range"],
        "nodes_to_exclude": kept,
        # Signed: CPUs with AMX run unsigned weights at a third of the speed.
        "weight_type": QuantType.QInt8,
        # Mapped into memory where one file would be parsed and copied.
        "use_external_data_format": True,
    }
    model = fuse(graph)
    if recipe["by_row"]:
        scale_rows(model, _products(model) - set(kept))
    if recipe["static"]:
        quantize_static(
            model,
            output / GRAPH,
            _Reader(feeds[:CALIBRATED]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(STATIC_OPERATORS),
            activation_type=QuantType.QUInt8,
            **options,
        )
    else:
        _quantize_dynamic(model, output / GRAPH, **options)


def rank(
    graph: Path, feeds: Sequence[Feed], output: Path, *, say: Callable[[str], None]
) -> list[Section]:
    """The sections of a graph, the one that does the most harm when it is quantized first.

    Each is quantized alone, and the graph's outputs compared with those of fp32.
    """
    model = fuse(graph)
    feeds = feeds[:RANKED]
    with tempfile.TemporaryDirectory(dir=output) as folder:
        path = Path(folder) / GRAPH
        onnx.save(model, path, save_as_external_data=True, location=f"{GRAPH}.data")
        expected = _outputs(path, feeds)
        model = onnx.load(path)
        harm: dict[Section, float] = {}
        parts = sections(_nodes(model))
        for number, section in enumerate(parts, 1):
            say(f"trying section {number} of {len(parts)} in int8")
            trial = Path(folder) / f"{section.number}.onnx"
            _quantize_dynamic(
                _by_row(model, section),
                trial,
                per_channel=True,
                nodes_to_quantize=list(section.nodes),
                weight_type=QuantType.QInt8,
                use_external_data_format=True,
            )
            found = _outputs(trial, feeds)
            harm[section] = float(
                np.mean([np.abs(a - b).mean() for a, b in zip(expected, found, strict=True)])
            )
            trial.unlink()
            trial.with_name(f"{trial.name}.data").unlink(missing_ok=True)
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


def _quantize_dynamic(model: onnx.ModelProto, output: Path, **options: object) -> None:
    quantize_dynamic(
        model,
        output,
        op_types_to_quantize=list(QUANTIZED_OPERATORS),
        # For tensors whose type cannot be inferred, behind operators of `FUSED_DOMAIN`.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        **options,
    )


def _by_row(model: onnx.ModelProto, section: Section) -> onnx.ModelProto:
    copied = copy.deepcopy(model)
    scale_rows(copied, _products(copied) & set(section.nodes))
    return copied


def _nodes(model: onnx.ModelProto) -> Iterator[tuple[str, str, bool]]:
    weights = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        has_weights = any(name in weights for name in node.input)
        yield node.name, node.op_type, has_weights and node.op_type in QUANTIZED_OPERATORS


def _products(model: onnx.ModelProto) -> set[str]:
    """Names of the products with weights; others have two matrices that come as they come."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return {n.name for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in weights}


def _outputs(graph: Path, feeds: Sequence[Feed]) -> list[npt.NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return [output for feed in feeds for output in session.run(None, feed)]


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
