"""A checkpoint's own task as a handler: no code of the user's, `config.json` tells it all.

    open     body ─codec─▶ value ─task─▶ inputs (tokenized texts), with their sizes
    run      inputs of any requests ─▶ one padded batch ─backend─▶ an output for each
    finish   outputs ─task─▶ answer ─codec─▶ body

Import this module only where a task is served: it loads numpy, onnxruntime and tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from portside.errors import PortsideError
from portside.serving import codecs
from portside.serving.backends.onnx_runtime import OnnxRuntime
from portside.serving.checkpoint import Checkpoint, Task, read_checkpoint
from portside.serving.handlers.openapi import Description
from portside.serving.handlers.task_schema import describe_task
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job
from portside.serving.tasks import task as tasks
from portside.serving.tasks.feed import KNOWN_INPUTS, make_feed
from portside.serving.tasks.strategy import AggregationStrategy
from portside.serving.tasks.tokenizer import TextTokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from tokenizers import Encoding

_MOST_INPUTS: Final = 8
_MOST_TOKENS: Final = 128
"""In one batch, padding included: eight texts of 16 tokens, one of 128. Greater batches take more
memory and are no faster; see `docs/decisions/0007-backend-settings.md`."""

OUTPUTS: Final = {
    Task.TOKEN_CLASSIFICATION: ("logits",),
    Task.TEXT_CLASSIFICATION: ("logits",),
    Task.ZERO_SHOT_CLASSIFICATION: ("logits",),
    Task.QUESTION_ANSWERING: ("start_logits", "end_logits"),
    Task.FEATURE_EXTRACTION: ("last_hidden_state",),
}
"""What the graph is asked for, under the names that transformers gives its outputs."""


class Backend(Protocol):
    """Runs the weights, in several threads at once."""

    @property
    def runs(self) -> int:
        """How many calls of `run` at the same time make the most of the machine."""
        ...

    @property
    def input_names(self) -> Sequence[str]:
        """What the graph has to be fed."""
        ...

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> Sequence[npt.NDArray[np.float32]]:
        """Outputs of shape (texts, …) for inputs of shape (texts, tokens)."""
        ...


class TaskHandler:
    """A task around a backend, warmed and ready for invocations."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        task: tasks.Task,
        backend: Backend,
        *,
        default_accept: str | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._task = task
        self._backend = backend
        self._input_names = backend.input_names
        self._default_accept = default_accept or codecs.JSON
        _check_inputs(checkpoint, self._input_names)
        _check_labels(checkpoint, self._warm_up())

    @property
    def batch_limit(self) -> BatchLimit:
        """Inputs of like length from any requests, in every thread that the backend can use."""
        return BatchLimit(inputs=_MOST_INPUTS, tokens=_MOST_TOKENS, runs=self._backend.runs)

    def open(self, invocation: Invocation) -> Job:
        """Decode and tokenize a request."""
        content_type = codecs.choose(invocation.accept, default=self._default_accept)
        body = codecs.decode(invocation.body, invocation.content_type)
        work = tasks.open_body(self._task, body)

        def finish(outputs: Sequence[tasks.Output]) -> Answer:
            answer = work.answer(outputs)
            body = codecs.encode(answer, content_type, default=self._default_accept)
            return Answer(body=body, content_type=content_type)

        return Job(inputs=work.inputs, sizes=[len(text) for text in work.inputs], finish=finish)

    def run(self, inputs: Sequence[Encoding]) -> Sequence[tasks.Output]:
        """One call of the backend for all inputs."""
        feed = make_feed(inputs, self._input_names, pad_token_id=self._checkpoint.pad_token_id)
        return list(zip(*self._backend.run(feed), strict=True))

    def close(self) -> None:
        """Nothing to give back: the memory goes with the handler."""

    def describe(self) -> Description:
        """What bodies it takes and answers it gives."""
        task = self._task
        # Only token classification has one, and only it may be imported then.
        most_stride = getattr(task, "most_stride", 0)
        return describe_task(self._checkpoint.task, example=task.example, most_stride=most_stride)

    def predict(self, body: object) -> object:
        """The answer to a decoded body, for an `inference.py` that does something around it."""
        work = tasks.open_body(self._task, body)
        outputs: dict[int, tasks.Output] = {}
        for batch in batches([len(text) for text in work.inputs]):
            run = self.run([work.inputs[index] for index in batch])
            outputs |= zip(batch, run, strict=True)
        return work.answer([outputs[index] for index in range(len(work.inputs))])

    def _warm_up(self) -> tasks.Output:
        """Predict once, so that the first caller does not pay for it; an output for the example."""
        work = tasks.open_body(self._task, self._task.example)
        return self.run(work.inputs)[0]


def batches(sizes: Sequence[int]) -> list[list[int]]:
    """Indices of inputs that may run together, by their sizes; like sizes together."""
    batches: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        batch = batches[-1] if batches else []
        if batch and len(batch) < _MOST_INPUTS and (len(batch) + 1) * sizes[index] <= _MOST_TOKENS:
            batch.append(index)
        else:
            batches.append([index])
    return batches


def _check_inputs(checkpoint: Checkpoint, names: Sequence[str]) -> None:
    if unknown := set(names) - KNOWN_INPUTS:
        listed = ", ".join(f"`{name}`" for name in sorted(unknown))
        raise PortsideError(
            f"cannot feed `{checkpoint.onnx_path}`: it wants {listed}, which no tokenizer makes",
            hint="add an `inference.py` with `load_model` and `predict`",
        )


def _check_labels(checkpoint: Checkpoint, output: tasks.Output) -> None:
    labels, width = len(checkpoint.labels), output[0].shape[-1]
    if labels and labels != width:
        raise PortsideError(
            f"`{checkpoint.onnx_path}` scores {width} labels, and its `config.json` names {labels}",
            hint="put the `config.json` there that the model was exported with",
        )


# --- From a model folder --------------------------------------------------------


def load_task(
    model_dir: Path,
    *,
    strategy: AggregationStrategy = AggregationStrategy.AVERAGE,
    default_accept: str | None = None,
) -> TaskHandler:
    """The task that a folder's checkpoint is for, warmed; an `inference.py` may build on it.

    Raises `PortsideError` for a folder that holds no such checkpoint.
    """
    checkpoint = read_checkpoint(model_dir)
    # Weights and tokenizer are read side by side.
    with ThreadPoolExecutor(1) as thread:
        opening = thread.submit(OnnxRuntime, checkpoint.onnx_path, outputs=OUTPUTS[checkpoint.task])
        task = make_task(checkpoint, strategy=strategy)
        backend = opening.result()
    return TaskHandler(checkpoint, task, backend, default_accept=default_accept)


def make_task(checkpoint: Checkpoint, *, strategy: AggregationStrategy) -> tasks.Task:
    """The task of a checkpoint, around its tokenizer; the graph is not opened."""
    # ruff: noqa: PLC0415 - an instance serves one of them, and starts the sooner for it
    tokenizer = TextTokenizer(checkpoint.tokenizer_path)
    match checkpoint.task:
        case Task.TOKEN_CLASSIFICATION:
            from portside.serving.tasks.token_classification import TokenClassification

            return TokenClassification(checkpoint, tokenizer, strategy=strategy)
        case Task.TEXT_CLASSIFICATION:
            from portside.serving.tasks.text_classification import TextClassification

            return TextClassification(checkpoint, tokenizer)
        case Task.ZERO_SHOT_CLASSIFICATION:
            from portside.serving.tasks.text_classification import TextClassification
            from portside.serving.tasks.zero_shot_classification import ZeroShotClassification

            plain = TextClassification(checkpoint, tokenizer)
            return ZeroShotClassification(checkpoint, tokenizer, plain=plain)
        case Task.QUESTION_ANSWERING:
            from portside.serving.tasks.question_answering import QuestionAnswering

            return QuestionAnswering(checkpoint, tokenizer)
        case Task.FEATURE_EXTRACTION:
            from portside.serving.tasks.feature_extraction import FeatureExtraction

            return FeatureExtraction(checkpoint, tokenizer)
        case _:
            assert_never(checkpoint.task)
