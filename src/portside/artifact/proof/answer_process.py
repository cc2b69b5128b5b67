"""Let one form of a model answer the samples, and measure it; nothing else runs in its process.

    python -m portside.artifact.proof.answer_process REQUEST OUTPUT

REQUEST is a file with an `examination.Request` in JSON. The graph in a folder runs as an instance
runs it, on the serving runtime's own code; the original runs on torch behind the
same tokenizer and the same task, so that what differs is the weights and nothing
else. Into the folder OUTPUT go

    outputs.npy     all numbers that the model gave, one after the other
    answers.json    what a caller would act on, and what is scored
    vectors.npy     the answers where they are vectors, one after the other
    figures.json    how long it took and how much memory
    inputs.json     what the graph was fed with for the first of them
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from portside.artifact.folder.architecture import MULTI_LABEL
from portside.artifact.proof.examination import (
    ANSWERS,
    FIGURES,
    INPUTS,
    KEPT_INPUTS,
    NUMBERS,
    VECTORS,
    Original,
    Request,
)
from portside.errors import BuildError
from portside.serving.backends.onnx_runtime import OnnxRuntime
from portside.serving.checkpoint import Checkpoint, Task, read_checkpoint
from portside.serving.error import InvalidBodyError
from portside.serving.handlers.task import OUTPUTS, Backend, TaskHandler, batches, make_task
from portside.serving.tasks import task as tasks
from portside.serving.tasks.aggregation import Entity, TokenEntity
from portside.serving.tasks.feed import make_feed
from portside.serving.tasks.question_answering import Span
from portside.serving.tasks.strategy import AggregationStrategy
from portside.serving.tasks.task import Work, open_body
from portside.serving.tasks.text_classification import LabelScore

if TYPE_CHECKING:
    from portside.serving.tasks.task import Output

_TIMED: Final = 48
"""Samples that are asked one by one as well, for the latencies."""

_MOST_PASSES: Final = 5
_ENOUGH_S: Final = 4.0
"""Of all passes over the samples, with which the machine's moods are evened out."""

_EVERY_TOKEN: Final = {"aggregation_strategy": "none", "ignore_labels": []}
_EVERY_LABEL: Final = {"top_k": None}

_HOLDS: Final = 0.5
"""The score of a label that does not exclude others, above which it is likelier than not."""

_OF_LABELS: Final = {Task.TEXT_CLASSIFICATION, Task.ZERO_SHOT_CLASSIFICATION}


class TorchModel:
    """A checkpoint in torch, in the place of its graph."""

    runs = 1
    """torch uses all cores for one call."""

    def __init__(self, original: Original, input_names: Sequence[str]) -> None:
        from portside.artifact.graph.torch_model import load_model  # noqa: PLC0415 - imports torch

        self.input_names = input_names
        weights = [Path(path) for path in original.weights]
        self._model = load_model(Path(original.folder), original.task, weights)
        self._outputs = OUTPUTS[Task(original.task)]

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> Sequence[npt.NDArray[np.float32]]:
        """The outputs for one batch."""
        import torch  # noqa: PLC0415 - see above

        tensors = {name: torch.from_numpy(array) for name, array in feed.items()}
        with torch.inference_mode():
            outputs = self._model(**tensors)
        return [outputs[name].numpy() for name in self._outputs]


def answer(request: Request, output: Path) -> None:
    """Write what the model makes of the samples."""
    checkpoint = read_checkpoint(Path(request.model_dir))
    backend = _backend(request, checkpoint)
    task = make_task(checkpoint, strategy=AggregationStrategy(request.strategy))
    handler = TaskHandler(checkpoint, task, backend)  # predicts once, to be warm
    load_s = time.time() - request.started_at
    is_of_text = checkpoint.task in _OF_LABELS
    exclusive = not (is_of_text and checkpoint.problem_type == MULTI_LABEL)
    works = open_samples(task, request.inputs, exclusive=exclusive)
    outputs, seconds = _timed(handler, works, runs=backend.runs)
    np.save(output / NUMBERS, _numbers(works, outputs, is_of_text=is_of_text))
    answers = [work.answer(each) for work, each in zip(works, outputs, strict=True)]
    if checkpoint.task is Task.FEATURE_EXTRACTION:
        np.save(output / VECTORS, np.concatenate([vectors.ravel() for vectors in answers]))
        value = {"vector_sizes": [vectors.size for vectors in answers]}
    else:
        value = {"found": [list(findings(each, exclusive=exclusive)) for each in answers]}
    if checkpoint.task is Task.TOKEN_CLASSIFICATION:
        value["token_labels"] = _token_labels(task, request.inputs, outputs)
    _write(output / ANSWERS, value)
    figures = {
        "load_s": load_s,
        "texts_per_s": len(works) / seconds,
        "latencies_ms": _latencies_ms(handler, request.inputs[:_TIMED]),
        "resident_bytes": _most_resident_bytes(),
    }
    _write(output / FIGURES, figures)
    _write(output / INPUTS, _feeds(works, request.input_names))


def _feeds(works: Sequence[Work], names: Sequence[str]) -> list[dict[str, npt.NDArray[np.int64]]]:
    """What the graph was fed with for the first of them."""
    encodings = [encoding for work in works for encoding in work.inputs][:KEPT_INPUTS]
    # Each alone, so nothing is padded, whatever the padding token may be.
    feeds = [make_feed([each], names, pad_token_id=0) for each in encodings]
    return [{name: array[0] for name, array in feed.items()} for feed in feeds]


def open_samples(task: tasks.Task, inputs: Sequence[Any], *, exclusive: bool) -> list[Work]:
    """What a caller would ask; of labels that do not exclude each other, for all of them.

    Raises `BuildError` for what only the tokenizer tells: a text without a token, a question that
    is too long.
    """
    parameters = {} if exclusive else {"parameters": _EVERY_LABEL}
    works = []
    for number, each in enumerate(inputs, 1):
        try:
            works.append(open_body(task, {"inputs": each, **parameters}))
        except InvalidBodyError as error:
            raise BuildError(f"sample {number} of {len(inputs)} ({each!r:.60}): {error}") from error
    return works


def findings(answer: object, *, exclusive: bool) -> Iterator[tuple[str | int, ...]]:
    """What a caller acts on; see `proof.Finding`. `deploy.verify` finds the same in JSON."""
    # A bare text is answered with a list of the one best label.
    for item in answer if isinstance(answer, list) else [answer]:
        match item:
            case LabelScore(label=label, score=score) if exclusive or score > _HOLDS:
                yield (label,)
            case Entity(entity_group=kind, start=start, end=end):
                yield kind, start, end
            case TokenEntity(entity=kind, start=start, end=end):
                yield kind, start, end
            case Span(start=start, end=end):
                yield start, end


def _timed(
    handler: TaskHandler, works: Sequence[Work], *, runs: int
) -> tuple[list[list[Output]], float]:
    """The outputs, and the best time of several passes: other work on the machine only adds."""
    times: list[float] = []
    while len(times) < _MOST_PASSES and sum(times) < _ENOUGH_S:
        began = time.perf_counter()
        outputs = _run(handler, works, runs=runs)
        times.append(time.perf_counter() - began)
    return outputs, min(times)


def _run(handler: TaskHandler, works: Sequence[Work], *, runs: int) -> list[list[Output]]:
    """Each work's outputs; inputs of like size together, in as many threads as it has runs."""
    places = [
        (number, index) for number, work in enumerate(works) for index in range(len(work.inputs))
    ]
    inputs = [works[number].inputs[index] for number, index in places]
    groups = batches([len(each) for each in inputs])
    outputs: list[list[Any]] = [[None] * len(work.inputs) for work in works]
    with ThreadPoolExecutor(runs) as threads:
        done = threads.map(lambda group: handler.run([inputs[place] for place in group]), groups)
        for group, found in zip(groups, done, strict=True):
            for place, each in zip(group, found, strict=True):
                number, index = places[place]
                outputs[number][index] = each
    return outputs


def _numbers(
    works: Sequence[Work], outputs: Sequence[Sequence[Output]], *, is_of_text: bool
) -> npt.NDArray[np.float32]:
    """All of them; rows of padding, which follow those of the tokens, are left out."""
    kept = [
        (array if is_of_text else array[: len(encoding)]).ravel()
        for work, each in zip(works, outputs, strict=True)
        for encoding, arrays in zip(work.inputs, each, strict=True)
        for array in arrays
    ]
    return np.concatenate(kept)


def _token_labels(
    task: tasks.Task, inputs: Sequence[Any], outputs: Sequence[Sequence[Output]]
) -> list[list[tuple[int, str]]]:
    """Of each text all tokens: where they begin, and their best label."""
    found = []
    for text, each in zip(inputs, outputs, strict=True):
        work = open_body(task, {"inputs": text, "parameters": _EVERY_TOKEN})
        found.append([(token.start, token.entity) for token in work.answer(each)])
    return found


def _backend(request: Request, checkpoint: Checkpoint) -> Backend:
    if request.original is None:
        return OnnxRuntime(checkpoint.onnx_path, outputs=OUTPUTS[checkpoint.task])
    return TorchModel(request.original, request.input_names)


def _latencies_ms(handler: TaskHandler, inputs: Sequence[Any]) -> list[float]:
    took = []
    for each in inputs:
        began = time.perf_counter()
        handler.predict({"inputs": each})
        took.append(1e3 * (time.perf_counter() - began))
    return sorted(took)


def _most_resident_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _write(path: Path, value: object) -> None:
    path.write_bytes(orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY))


def _plain(value: npt.NDArray[np.generic]) -> object:
    return value.tolist()


def main() -> None:
    """Answer as the command line says; a failure leaves a traceback or its reason."""
    request, output = sys.argv[1:]
    fields = json.loads(Path(request).read_text(encoding="utf-8"))
    if fields["original"]:
        fields["original"] = Original(**fields["original"])
    try:
        answer(Request(**fields), Path(output))
    except BuildError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
