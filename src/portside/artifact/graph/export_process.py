"""Export a checkpoint to ONNX and compare the two.

    python -m portside.artifact.graph.export_process CHECKPOINT TASK WEIGHTS… OUTPUT

    load ──torch_model──▶ trace ──torch.onnx──▶ model.onnx (+ .data) ──compare──▶ export.json

Run by `export` in a process of its own, because torch and the weights take about a
gigabyte, which goes back to the machine when the process ends. Each step is a line
on stdout; whatever the libraries say goes to stderr. Into the folder OUTPUT go
`model.onnx` with `model.onnx.data`, `tokenizer.json` where CHECKPOINT has none, and,
last, `export.json`.

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
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
import transformers
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from portside.artifact.apart import steps
from portside.artifact.folder.tokenizer import TOKENIZER
from portside.artifact.graph.export import GRAPH, REPORT
from portside.artifact.graph.torch_model import load_model
from portside.errors import BuildError

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
COMPARED_SHAPES: Final = ((1, 2), (1, 9), (3, 17), (1, 256))
"""Texts and tokens a text; all unlike the example's, so that an axis which froze is found.

256 tokens, because DeBERTa counts distances above 128 in another way than those below.
"""


class Outputs(torch.nn.Module):
    """A model that takes its inputs in a fixed order and returns some of its outputs so."""

    def __init__(self, model: PreTrainedModel, inputs: list[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs
        self.outputs = outputs

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Arrays of shape (texts, tokens, …), or (texts, labels) for text classification."""
        outputs = self.model(**dict(zip(self.inputs, inputs, strict=True)))
        return tuple(outputs[name] for name in self.outputs)


def export(
    checkpoint: Path,
    task: str,
    *,
    weights: Sequence[Path],
    output: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the graph; what was exported and how far the two are apart."""
    say("loading the weights")
    tokenizer = _load_tokenizer(checkpoint)
    model = load_model(checkpoint, task, weights)
    if not (checkpoint / TOKENIZER).is_file():
        _make_tokenizer(tokenizer, output / TOKENIZER, tokens=model.config.vocab_size)
    names = _input_names(tokenizer, model)
    module = Outputs(model, names, OUTPUTS_BY_TASK[task]).eval()
    say("tracing the graph")
    _write_graph(module, output / GRAPH)
    say("comparing the graph with the original")
    session = onnxruntime.InferenceSession(output / GRAPH, providers=["CPUExecutionProvider"])
    compared = _compared_shapes(model)
    differences = [
        _difference(module, session, _inputs(module, shape), task=task) for shape in compared
    ]
    return {
        "inputs": names,
        "largest_difference": float(np.max(differences)),
        "compared_shapes": compared,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _load_tokenizer(checkpoint: Path) -> PreTrainedTokenizerBase:
    try:
        return transformers.AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    except Exception as error:  # whatever the readers of its formats raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BuildError(f"transformers cannot load its tokenizer: {reason}") from error


def _make_tokenizer(tokenizer: PreTrainedTokenizerBase, path: Path, *, tokens: int) -> None:
    """Write the `tokenizer.json` of a checkpoint that has a vocabulary only."""
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise BuildError(f"no `{TOKENIZER}` can be made of a `{type(tokenizer).__name__}`")
    # Without the files that its class reads, transformers makes one of five special tokens.
    if 2 * len(tokenizer) < tokens:
        raise BuildError(
            f"the tokenizer that transformers makes of the vocabulary knows {len(tokenizer)} "
            f"tokens and the model {tokens}"
        )
    tokenizer.backend_tokenizer.save(str(path))


def _input_names(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> list[str]:
    """What the tokenizer gives and the model has a use for.

    A DistilBERT checkpoint may carry BERT's tokenizer, whose `token_type_ids` it does not take;
    RoBERTa takes them, and knows one type only.
    """
    accepted = set(inspect.signature(model.forward).parameters)
    if getattr(model.config, "type_vocab_size", 0) < 2:
        accepted.discard("token_type_ids")
    return [name for name in tokenizer.model_input_names if name in accepted]


def _write_graph(module: Outputs, path: Path) -> None:
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        module,
        tuple(_inputs(module, EXAMPLE_SHAPE).values()),
        input_names=module.inputs,
        output_names=list(module.outputs),
        dynamic_shapes=(tuple(axes for _ in module.inputs),),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise BuildError("`torch.onnx.export` returned no program")
    # Each node carries the stack trace of its making, with the paths of this machine.
    ClearMetadataAndDocStringPass()(program.model)
    program.save(path, external_data=True)


def _compared_shapes(model: PreTrainedModel) -> list[tuple[int, int]]:
    # Half of the positions: some families keep a few of them for padding.
    longest = getattr(model.config, "max_position_embeddings", 512) // 2
    return [(texts, min(tokens, longest)) for texts, tokens in COMPARED_SHAPES]


def _inputs(module: Outputs, shape: tuple[int, int]) -> dict[str, Any]:
    """Random tokens; the last of several texts is padded over its second half."""
    generator = torch.Generator().manual_seed(shape[1])
    mask = torch.ones(shape, dtype=torch.int64)
    if shape[0] > 1:
        mask[-1, shape[1] // 2 :] = 0
    known = {
        "input_ids": torch.randint(0, module.model.config.vocab_size, shape, generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }
    return {name: known[name] for name in module.inputs}


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
    """Export as the command line says; a failure leaves a traceback, its reason and no report."""
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    checkpoint, task, *weights, output = sys.argv[1:]
    try:
        with steps() as say:
            report = export(
                Path(checkpoint),
                task,
                weights=[Path(path) for path in weights],
                output=Path(output),
                say=say,
            )
    except BuildError as error:
        traceback.print_exception(error)
        sys.exit(error.message)
    (Path(output) / REPORT).write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
