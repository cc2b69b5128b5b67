"""A checkpoint and its graph, asked and quantized in processes of their own; see `judge.Model`.

What was found once is kept in the cache, named by the digest of all that it depends
on: to package an unchanged checkpoint again asks nothing anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from portside.archive import digest
from portside.archive.disk import writing
from portside.archive.partial import partial_beside
from portside.artifact.apart import Run, run_apart
from portside.artifact.cache import SERVED, cached
from portside.artifact.graph.export import REPORT
from portside.artifact.graph.optimize import Quantizer
from portside.artifact.proof.likeness import Answers
from portside.artifact.proof.proof import Figures
from portside.errors import BuildError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from portside.artifact.folder.checkpoint import Checkpoint
    from portside.artifact.graph.export import Export
    from portside.artifact.graph.recipe import Recipe
    from portside.artifact.graph.section import Section
    from portside.artifact.proof.sample import Samples
    from portside.serving.tasks.strategy import AggregationStrategy

VERSION: Final = "3"
"""Raise it when answers are taken or measured in another way: earlier ones are then not used."""

ANSWERS: Final = "answers.json"
NUMBERS: Final = "outputs.npy"
VECTORS: Final = "vectors.npy"
FIGURES: Final = "figures.json"
INPUTS: Final = "inputs.json"
"""What `answer_process` leaves in its folder."""

_PROCESS: Final = "portside.artifact.proof.answer_process"

KEPT_INPUTS: Final = 64
"""Samples whose inputs are kept: as many as ranges of activations are found on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A checkpoint that torch can load."""

    folder: str
    task: str
    weights: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `answer_process` is asked to do."""

    model_dir: str
    """As an instance finds it, with a graph in it."""
    original: Original | None
    """What to run in the graph's place."""
    input_names: Sequence[str]
    """The graph's."""
    inputs: Sequence[Any]
    """Of each sample, as in a request's body."""
    strategy: AggregationStrategy
    """How the endpoint joins tokens to entities."""
    started_at: float
    """When the process was started, in seconds since the epoch."""


class Examination:
    """One checkpoint, its graph as it was exported, and the samples."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        exported: Export,
        samples: Samples,
        *,
        strategy: AggregationStrategy,
        cache: Path,
        progress: Callable[[str], None],
        run: Run = run_apart,
    ) -> None:
        self._progress = progress
        self._run = run
        self._strategy = strategy
        self.graph = exported.files
        self._checkpoint = checkpoint
        self._tokenizer = exported.tokenizer
        self._input_names = _input_names(exported)
        self._inputs = [sample.inputs for sample in samples.items]
        self._cache = cache
        self._quantizer: Quantizer | None = None
        replaced = checkpoint.model.files if checkpoint.model else ()
        settings = [file.source for file in checkpoint.files if file not in replaced]
        settings += [exported.tokenizer] if exported.tokenizer else []
        self._settings = [f"{path.name} {digest(path)}" for path in settings]

    def ask_original(self) -> tuple[Answers, Figures]:
        """What the checkpoint makes of the samples in torch, and what it costs."""
        weights = self._checkpoint.model.weights if self._checkpoint.model else ()
        original = Original(
            folder=str(self._checkpoint.folder),
            task=str(self._checkpoint.task),
            weights=[str(file.source) for file in weights],
        )
        folder = self._answered(self.graph, original=original)
        return _read(folder, size_bytes=sum(file.size_bytes for file in weights))

    def ask(self, graph: Sequence[Path]) -> tuple[Answers, Figures]:
        """What a graph makes of them, as an instance would run it."""
        folder = self._answered(graph, original=None)
        return _read(folder, size_bytes=sum(path.stat().st_size for path in graph))

    def quantize(self, recipe: Recipe) -> Sequence[Path]:
        """The graph in int8."""
        return self._quantizing().quantize(recipe)

    def rank(self) -> tuple[Section, ...]:
        """The graph's sections, the one that int8 harms most first."""
        return self._quantizing().rank()

    def _quantizing(self) -> Quantizer:
        if self._quantizer is None:
            inputs = self._answered(self.graph, original=None) / INPUTS
            self._quantizer = Quantizer(self.graph, inputs, self._cache, progress=self._progress)
        return self._quantizer

    def _answered(self, graph: Sequence[Path], *, original: Original | None) -> Path:
        """The folder with a form's answers, which are taken now unless they were before."""
        what = "original" if original else "graph"
        parts = [VERSION, what, self._strategy, json.dumps(self._inputs)]
        parts += map(digest, sorted(graph))
        parts += self._settings
        if original:  # an export is named by the digest of the weights
            parts += [path.parent.name for path in self.graph]
        folder = cached(self._cache, "answers", parts)
        if not folder.is_dir():
            self._ask(graph, original, folder)
        return folder

    def _ask(self, graph: Sequence[Path], original: Original | None, folder: Path) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        with partial_beside(self._cache / SERVED, Path.mkdir) as scratch:
            model_dir, file = scratch / "model", scratch / "request.json"
            self._link_all(model_dir, graph)
            request = Request(
                model_dir=str(model_dir),
                original=original,
                input_names=self._input_names,
                inputs=self._inputs,
                strategy=self._strategy,
                started_at=time.time(),
            )
            with writing(file):
                file.write_text(json.dumps(asdict(request)), encoding="utf-8")
            self._run(_PROCESS, [str(file)], folder, failure=self._failure)

    def _link_all(self, model_dir: Path, graph: Sequence[Path]) -> None:
        """A folder as an instance would find it, of links."""
        replaced = self._checkpoint.model.files if self._checkpoint.model else ()
        for file in self._checkpoint.files:
            if file not in replaced:
                _link(model_dir / file.path, file.source)
        for path in [*graph, *([self._tokenizer] if self._tokenizer else [])]:
            _link(model_dir / path.name, path)

    def _failure(self, reason: str, log: Path) -> BuildError:
        return BuildError(
            f"cannot ask `{self._checkpoint.folder}` the samples: {reason}",
            hint=f"read `{log}`; does each sample hold what the model's task expects?",
        )


def _input_names(exported: Export) -> list[str]:
    report = exported.files[0].with_name(REPORT)
    names: list[str] = json.loads(report.read_text(encoding="utf-8"))["inputs"]
    return names


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.resolve())


def _read(folder: Path, *, size_bytes: int) -> tuple[Answers, Figures]:
    import numpy as np  # noqa: PLC0415 - the command line starts without it

    answers = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
    figures = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
    return (
        Answers(
            numbers=np.load(folder / NUMBERS, mmap_mode="r"),
            found=[frozenset(map(tuple, each)) for each in answers.get("found", ())],
            vectors=_read_vectors(folder, answers.get("vector_sizes", ())),
            token_labels=answers.get("token_labels"),
        ),
        Figures(
            size_bytes=size_bytes,
            load_s=figures["load_s"],
            resident_bytes=figures["resident_bytes"],
            latencies_ms=tuple(figures["latencies_ms"]),
            texts_per_s=figures["texts_per_s"],
        ),
    )


def _read_vectors(folder: Path, sizes: Sequence[int]) -> Sequence[npt.NDArray[np.float32]]:
    """Mapped into memory, not read: those of each token of long texts take gigabytes."""
    import numpy as np  # noqa: PLC0415 - see above

    if not sizes:
        return ()
    rows = np.load(folder / VECTORS, mmap_mode="r")
    return np.split(rows, np.cumsum(sizes)[:-1])
