"""Try forms of a model on the samples, and choose the one that an endpoint should run.

    original (torch) ──answers──┐
    fp32 graph ─────────────────┼─ likeness ─▶ gate ─▶ the first form in int8 that passes and is
    int8, int8 per channel, …  ─┘                      faster; else fp32, and the reason why

Decisions only: what is asked, measured and quantized is done by a `Model`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from portside.artifact.graph.recipe import PLAIN, Recipe, last, mixed
from portside.artifact.proof.gate import faults
from portside.artifact.proof.likeness import Answers, compare
from portside.artifact.proof.proof import Candidate, Figures, Gate, Proof, SampleSet, Verdict
from portside.artifact.proof.selection import select
from portside.errors import BuildError

if TYPE_CHECKING:
    from portside.artifact.folder.architecture import Task
    from portside.artifact.graph.section import Section
    from portside.artifact.proof.sample import Samples

Precision = Literal["auto", "fp32", "int8"]
"""What may be chosen; `auto` leaves it open."""

FP32: Final = "fp32"
INT8: Final = "int8"

LEAST_SPEEDUP: Final = 1.1
"""How much faster than fp32 int8 has to be, unless it was asked for: below that the exact numbers
are worth more."""


class Model(Protocol):
    """One checkpoint with its exported graph, and what can be done with it."""

    @property
    def graph(self) -> Sequence[Path]:
        """The exported graph's files."""
        ...

    def ask_original(self) -> tuple[Answers, Figures]:
        """What the checkpoint itself makes of the samples, and what it costs."""
        ...

    def ask(self, graph: Sequence[Path]) -> tuple[Answers, Figures]:
        """The same for a graph."""
        ...

    def quantize(self, recipe: Recipe) -> Sequence[Path]:
        """The graph in int8; raises BuildError where it cannot be made so."""
        ...

    def rank(self) -> tuple[Section, ...]:
        """The graph's sections, the one that int8 harms most first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The graph's files to serve, and why these."""

    files: tuple[Path, ...]
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    candidate: Candidate
    answers: Answers
    files: tuple[Path, ...]


def judge(
    model: Model,
    *,
    name: str,
    task: Task,
    samples: Samples,
    gate: Gate,
    precision: Precision,
    progress: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Choice:
    """Choose among fp32 and int8; `name` is the model's, for the proof.

    Raises BuildError where int8 was asked for and no form of it passes the gate, and where not even
    the graph in fp32 does.
    """
    began = clock()
    court = _Court(model, task=task, samples=samples, gate=gate, progress=progress)
    fp32 = court.hear(FP32, FP32, model.graph)
    if fp32.candidate.verdict is Verdict.REFUSED:
        raise _no_fp32(name, fp32.candidate)
    trials = [fp32]
    if precision != FP32:
        least_speedup = LEAST_SPEEDUP if precision == "auto" else 0.0
        trials += court.try_int8(fp32.candidate, least_speedup=least_speedup)
    passed = next((t for t in trials[1:] if t.candidate.verdict is not Verdict.REFUSED), None)
    if precision == INT8 and passed is None:
        raise _no_int8(name, trials[1:])
    chosen = passed or fp32
    proof = Proof(
        model=name,
        task=task,
        samples=SampleSet(
            source=samples.source,
            texts=len(samples.items),
            labeled=fp32.candidate.likeness.f1_before is not None,
        ),
        gate=gate,
        original=court.original,
        candidates=tuple(_settled(trial, chosen, fp32, precision) for trial in trials),
        asked=select(task, samples, original=court.answers, chosen=chosen.answers),
        took_s=clock() - began,
    )
    return Choice(files=chosen.files, proof=proof)


class _Court:
    """Hears candidates against the original, one after the other."""

    def __init__(
        self,
        model: Model,
        *,
        task: Task,
        samples: Samples,
        gate: Gate,
        progress: Callable[[str], None],
    ) -> None:
        self._model = model
        self._task = task
        self._samples = samples.items
        self._gate = gate
        self._progress = progress
        progress(f"asking the original {len(samples.items)} samples")
        self.answers, self.original = model.ask_original()

    def hear(self, name: str, precision: str, files: Sequence[Path]) -> _Trial:
        """What a candidate is worth; one that fails at the gate is refused."""
        self._progress(f"comparing {name} with the original")
        answers, figures = self._model.ask(files)
        likeness = compare(self._task, self._samples, original=self.answers, other=answers)
        failed = faults(self._gate, likeness)
        candidate = Candidate(
            name=name,
            precision=precision,
            figures=figures,
            likeness=likeness,
            verdict=Verdict.REFUSED if failed else Verdict.NOT_NEEDED,
            reason="; ".join(failed),
        )
        return _Trial(candidate=candidate, answers=answers, files=tuple(files))

    def try_int8(self, fp32: Candidate, *, least_speedup: float) -> list[_Trial]:
        """Recipes in their order, up to the first that passes the gate."""
        trials = []
        for recipe in self._recipes():
            self._progress(f"quantizing to {recipe.name}")
            try:
                files = self._model.quantize(recipe)
            except BuildError as error:
                if recipe in PLAIN:
                    raise
                self._progress(error.message)  # the last resorts do not suit every graph
                continue
            trial = self.hear(recipe.name, INT8, files)
            if trial.candidate.verdict is Verdict.REFUSED:
                trials.append(trial)
                continue
            # If this one is too slow so are the others, which do more.
            return [*trials, _unless_slow(trial, fp32, least_speedup)]
        return trials

    def _recipes(self) -> Iterator[Recipe]:
        yield from PLAIN
        self._progress("finding the sections that int8 harms most")
        ranking = self._model.rank()
        yield from mixed(ranking)
        yield from last(ranking)


def speedup(candidate: Candidate, other: Candidate) -> float:
    """How many times as many texts a second."""
    return candidate.figures.texts_per_s / other.figures.texts_per_s


def _unless_slow(trial: _Trial, fp32: Candidate, least_speedup: float) -> _Trial:
    times = speedup(trial.candidate, fp32)
    if times >= least_speedup:
        return trial
    reason = f"only {times:.2f} times as fast as fp32, and {least_speedup:g} are asked for"
    refused = replace(trial.candidate, verdict=Verdict.REFUSED, reason=reason)
    return replace(trial, candidate=refused)


def _settled(trial: _Trial, chosen: _Trial, fp32: _Trial, precision: Precision) -> Candidate:
    """With its last verdict, and the reason."""
    candidate = trial.candidate
    if trial is chosen:
        reason = _reason(candidate, fp32.candidate, precision)
        return replace(candidate, verdict=Verdict.CHOSEN, reason=reason)
    if candidate.verdict is Verdict.REFUSED:
        return candidate
    return replace(candidate, reason=f"{chosen.candidate.name} is faster and passes the gate")


def _reason(chosen: Candidate, fp32: Candidate, precision: Precision) -> str:
    if chosen.precision == INT8:
        times = speedup(chosen, fp32)
        share = fp32.figures.size_bytes / chosen.figures.size_bytes
        return f"passes the gate, {times:.1f} times as fast as fp32, 1/{share:.1f} of its size"
    return "asked for" if precision == FP32 else "no form of int8 passed the gate and was faster"


def _no_fp32(name: str, fp32: Candidate) -> BuildError:
    return BuildError(
        f"cannot package `{name}`: the exported graph answers otherwise than the checkpoint "
        f"({fp32.reason})",
        hint="look at the samples, widen `[model.gate]`, or put an ONNX model into the folder",
    )


def _no_int8(name: str, trials: Sequence[_Trial]) -> BuildError:
    reasons = [f"{trial.candidate.name}: {trial.candidate.reason}" for trial in trials]
    return BuildError(
        f"cannot package `{name}` in int8: no form of it passes the gate ({'; '.join(reasons)})",
        hint="set `[model] precision` to `auto` or `fp32`, or widen `[model.gate]`",
    )
