"""Export a safetensors checkpoint to ONNX and compare the two; the only place that imports torch.

    python -m portside.artifact.export_process CHECKPOINT TASK OUTPUT

Run by `export` in a process of its own, because torch and the weights take well
over a gigabyte, which goes back to the machine when the process ends. Writes
`model.onnx` with `model.onnx.data` and, last, `export.json` into the folder OUTPUT.

Exporter and attention, measured on DistilBERT-base with torch 2.13 and onnxruntime
1.32: the `torch.export` exporter and the older TorchScript one (deprecated since
torch 2.9), each with `sdpa` and `eager` attention, with and without the fusions of
`onnxruntime.transformers`, gave graphs within 10 % of each other's speed, because
nearly all the time goes into the same matrix products. So this takes the defaults.

Weights go into a file beside the graph, `model.onnx.data`, which onnxruntime maps
into memory where it parses and copies a graph that holds them: loading took 0.3 s
instead of 0.7 s, and 240 MB instead of 440 MB stayed resident.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
import transformers
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

from portside.artifact.export import GRAPH, REPORT

AUTO_CLASS_BY_TASK: Final = {
    "token-classification": transformers.AutoModelForTokenClassification,
    "text-classification": transformers.AutoModelForSequenceClassification,
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "feature-extraction": transformers.AutoModel,
}

OUTPUTS_BY_TASK: Final = {
    "token-classification": ("logits",),
    "text-classification": ("logits",),
    "question-answering": ("start_logits", "end_logits"),
    "feature-extraction": ("last_hidden_state",),
}
"""What is taken of what a model returns, and how the graph calls it."""

TASKS_OF_WHOLE_TEXTS: Final = frozenset({"text-classification"})
"""Those whose outputs have a row for each text; the others have one for each token."""

OPSET: Final = 18
"""The exporter's own default in torch 2.13; onnxruntime reads it since 1.14."""

EXAMPLE_SHAPE: Final = (2, 16)
COMPARED_SHAPES: Final = ((1, 2), (1, 9), (3, 17), (2, 128))
"""Texts and tokens a text; all unlike the example's, so that an axis which froze is found."""


class Outputs(torch.nn.Module):
    """A model that takes its inputs in a fixed order and returns some of its outputs so."""

    def __init__(self, model: torch.nn.Module, inputs: list[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs
        self.outputs = outputs

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Arrays of shape (texts, tokens, …), or (texts, labels) for text classification."""
        outputs = self.model(**dict(zip(self.inputs, inputs, strict=True)))
        return tuple(outputs[name] for name in self.outputs)


def export(checkpoint: Path, task: str, output: Path) -> dict[str, Any]:
    """Write the graph; what was exported and how far the two are apart."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    model = AUTO_CLASS_BY_TASK[task].from_pretrained(
        checkpoint, dtype=torch.float32, local_files_only=True
    )
    # A DistilBERT checkpoint may carry BERT's tokenizer, whose token_type_ids it has no use for.
    accepted = inspect.signature(model.forward).parameters
    names = [name for name in tokenizer.model_input_names if name in accepted]
    module = Outputs(model, names, OUTPUTS_BY_TASK[task]).eval()
    size = model.config.vocab_size
    # Half of the positions: some families keep a few of them for padding.
    longest = getattr(model.config, "max_position_embeddings", 512) // 2
    compared = [(texts, min(tokens, longest)) for texts, tokens in COMPARED_SHAPES]
    example = tuple(_inputs(names, EXAMPLE_SHAPE, vocabulary_size=size).values())
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        module,
        example,
        input_names=names,
        output_names=list(OUTPUTS_BY_TASK[task]),
        dynamic_shapes=(tuple(axes for _ in names),),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    # Each node carries the stack trace of its making, with the paths of this machine.
    ClearMetadataAndDocStringPass()(program.model)
    program.save(output / GRAPH, external_data=True)
    session = onnxruntime.InferenceSession(output / GRAPH, providers=["CPUExecutionProvider"])
    differences = [
        _difference(module, session, _inputs(names, shape, vocabulary_size=size), task=task)
        for shape in compared
    ]
    return {
        "inputs": names,
        "largest_difference": float(np.max(differences)),
        "compared_shapes": compared,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _inputs(names: list[str], shape: tuple[int, int], *, vocabulary_size: int) -> dict[str, Any]:
    """Random tokens; the last of several texts is padded over its second half."""
    generator = torch.Generator().manual_seed(shape[1])
    mask = torch.ones(shape, dtype=torch.int64)
    if shape[0] > 1:
        mask[-1, shape[1] // 2 :] = 0
    known = {
        "input_ids": torch.randint(0, vocabulary_size, shape, generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }
    return {name: known[name] for name in names}


@torch.no_grad()
def _difference(
    module: Outputs, session: onnxruntime.InferenceSession, inputs: dict[str, Any], *, task: str
) -> float:
    """The largest |difference| of any output, padding left aside."""
    expected = module(*inputs.values())
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    kept = inputs["attention_mask"].numpy().astype(bool)
    if task in TASKS_OF_WHOLE_TEXTS:
        kept = np.ones(len(kept), dtype=bool)
    differences = [
        np.abs(theirs - ours.numpy())[kept].max()
        for ours, theirs in zip(expected, found, strict=True)
    ]
    return float(np.max(differences))


def main() -> None:
    """Export as the command line says; a failure leaves a traceback and no report."""
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    checkpoint, task, output = sys.argv[1:]
    report = export(Path(checkpoint), task, Path(output))
    (Path(output) / REPORT).write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
