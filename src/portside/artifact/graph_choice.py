"""Make and choose the graph that goes into an artifact, where the checkpoint has none to serve.

    samples ──read, held against the model──────────┐
    checkpoint ──exporter──▶ graph in fp32 ─────────┼─examiner─▶ Model ─judge─▶ the files to serve,
                                                    │                           and a proof
    wanted: precision, gate, aggregation strategy ──┘

What is wrong with the samples is said first: the export takes a minute.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from portside.artifact.folder.architecture import Task
from portside.artifact.graph.export import export
from portside.artifact.proof.examination import Examination
from portside.artifact.proof.judge import judge
from portside.artifact.proof.sample import bundled_samples
from portside.artifact.proof.sample_file import read_samples
from portside.artifact.served_graph import ServedGraph, Wanted
from portside.serving.tasks.strategy import AggregationStrategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.artifact.folder.checkpoint import Checkpoint
    from portside.artifact.graph.export import Export
    from portside.artifact.proof.judge import Model
    from portside.artifact.proof.sample import Samples


class Examiner(Protocol):
    """Makes of a checkpoint and its graph something that can be asked and quantized."""

    def __call__(
        self,
        checkpoint: Checkpoint,
        exported: Export,
        samples: Samples,
        *,
        strategy: AggregationStrategy,
        cache: Path,
        progress: Callable[[str], None],
    ) -> Model: ...


def choose_graph(
    checkpoint: Checkpoint,
    task: Task,
    *,
    wanted: Wanted,
    cache: Path,
    progress: Callable[[str], None],
    exporter: Callable[[Checkpoint, Path, Callable[[str], None]], Export] = export,
    examiner: Examiner = Examination,
) -> ServedGraph:
    """Export the checkpoint, and take the form of its graph that passes the gate.

    Raises `ConfigError` for samples that do not fit, `BuildError` where no graph passes, and
    `MissingToolError` where something for it is not installed.
    """
    samples = _samples(checkpoint, task, wanted)
    progress("exporting to ONNX")
    exported = exporter(checkpoint, cache, progress)
    model = examiner(
        checkpoint, exported, samples, strategy=wanted.strategy, cache=cache, progress=progress
    )
    choice = judge(
        model,
        name=checkpoint.summary,
        task=task,
        samples=samples,
        gate=wanted.gate,
        precision=wanted.precision,
        progress=progress,
    )
    made = (exported.tokenizer,) if exported.tokenizer else ()
    return ServedGraph(files=(*choice.files, *made), proof=choice.proof)


def _samples(checkpoint: Checkpoint, task: Task, wanted: Wanted) -> Samples:
    exclusive = checkpoint.exclusive_labels
    samples = (
        read_samples(wanted.samples, task, labels=checkpoint.labels, exclusive=exclusive)
        if wanted.samples
        else bundled_samples(task)
    )
    parameters = _parameters(task, exclusive=exclusive, strategy=wanted.strategy)
    return replace(samples, parameters=parameters, exclusive=exclusive)


def _parameters(task: Task, *, exclusive: bool, strategy: AggregationStrategy) -> dict[str, Any]:
    """With what a request is answered as `answer_process` answers."""
    match task:
        case Task.TOKEN_CLASSIFICATION:
            return {"aggregation_strategy": str(strategy)}
        case Task.TEXT_CLASSIFICATION if not exclusive:
            return {"top_k": None}  # all labels
        case _:
            return {}
