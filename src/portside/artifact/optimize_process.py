"""Fuse and quantize a graph; the only place that imports onnxruntime's tools for that.

    python -m portside.artifact.optimize_process GRAPH OUTPUT

    GRAPH ──fuse──▶ Gelu in one node ──quantize──▶ 8-bit weights ──▶ OUTPUT/model.onnx (+ .data)

Run by `optimize` in a process of its own, because the graph is in memory several
times over, which goes back to the machine when the process ends.

Dynamic quantization: weights are 8-bit integers in the file, activations become
such at run time, each matrix by its own range, so no texts are needed to find the
ranges. What was measured, and why so little is fused, stands in
`docs/decisions/0007-backend-settings.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from portside.artifact.export import GRAPH

QUANTIZED_OPERATORS: Final = ("MatMul", "Gemm", "Gather")
"""The weights of linear layers and the embeddings: over 99 % of all. The rest are biases and the
like, whose quantization would cost time in each prediction and save none."""

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


def quantize(graph: Path, output: Path) -> None:
    """Write `model.onnx` and `model.onnx.data` into the folder `output`."""
    options = FusionOptions("bert")
    for name in NOT_FUSED:
        setattr(options, name, False)
    # Level 0: onnxruntime's own optimizations come when the graph is loaded, for that very CPU.
    fused = optimize_model(
        str(graph), model_type="bert", opt_level=0, optimization_options=options
    ).model
    if FUSED_DOMAIN not in {opset.domain for opset in fused.opset_import}:
        fused.opset_import.append(onnx.helper.make_opsetid(FUSED_DOMAIN, 1))
    quantize_dynamic(
        fused,
        output / GRAPH,
        op_types_to_quantize=list(QUANTIZED_OPERATORS),
        # Signed: CPUs with AMX run unsigned weights at a third of the speed.
        weight_type=QuantType.QInt8,
        # Mapped into memory where one file would be parsed and copied.
        use_external_data_format=True,
        # For tensors whose type cannot be inferred, behind operators of `FUSED_DOMAIN`.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def main() -> None:
    """Quantize as the command line says; a failure leaves a traceback."""
    graph, output = sys.argv[1:]
    quantize(Path(graph), Path(output))


if __name__ == "__main__":
    main()
