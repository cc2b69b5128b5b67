"""How far the answers of two forms of a model are from each other, task by task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.proof import Finding, Likeness
from portside.artifact.proof.span import f1

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from portside.artifact.proof.sample import Sample

_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one form of a model made of the samples, in their order."""

    numbers: npt.NDArray[np.float32]
    """All that the graph gave, in one row."""
    found: Sequence[frozenset[Finding]] = ()
    """Of each sample; none for vectors."""
    vectors: Sequence[npt.NDArray[np.float32]] = ()
    """Of each sample, in one row."""
    token_labels: Sequence[Sequence[tuple[int, str]]] | None = None
    """Of each text all tokens: where they begin, and their best label."""


def compare(
    task: Task, samples: Sequence[Sample], *, original: Answers, other: Answers
) -> Likeness:
    """How far `other` is from `original`."""
    return Likeness(
        largest_difference=float(abs(original.numbers - other.numbers).max()),
        agreement=_agreement(task, original, other),
        f1_before=score(task, samples, original),
        f1_after=score(task, samples, other),
    )


def is_single_score(task: Task, answers: Answers) -> bool:
    """Whether the graph has one output, as rerankers have: its score is the answer, not a label."""
    return task is Task.TEXT_CLASSIFICATION and answers.numbers.size == len(answers.found)


# --- Agreement ------------------------------------------------------------------


def _agreement(task: Task, original: Answers, other: Answers) -> float:
    if task is Task.FEATURE_EXTRACTION:
        return _mean_cosine(original.vectors, other.vectors)
    if is_single_score(task, original):
        return _correlation(original.numbers, other.numbers)
    return _shared(original.found, other.found)


def _shared(ours: Sequence[frozenset[Finding]], theirs: Sequence[frozenset[Finding]]) -> float:
    """Where each finds one thing, the share of the same; where neither finds any they agree."""
    shared = sum(len(a & b) for a, b in zip(ours, theirs, strict=True))
    there = sum(map(len, ours)) + sum(map(len, theirs))
    return 2 * shared / there if there else 1.0


def _correlation(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    """How well scores follow each other, at least 0; equal ones do."""
    import numpy as np  # noqa: PLC0415 - other tasks need none

    if np.array_equal(ours, theirs):
        return 1.0
    if not (ours.std() and theirs.std()):
        return 0.0
    return max(0.0, float(np.corrcoef(ours, theirs)[0, 1]))


def _mean_cosine(
    ours: Sequence[npt.NDArray[np.float32]], theirs: Sequence[npt.NDArray[np.float32]]
) -> float:
    import numpy as np  # noqa: PLC0415 - other tasks need none

    cosines = []
    for left, right in zip(ours, theirs, strict=True):
        lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
        cosines.append(float(left @ right) / lengths if lengths else 1.0)
    return sum(cosines) / len(cosines)


# --- Scores ---------------------------------------------------------------------


def score(task: Task, samples: Sequence[Sample], answers: Answers) -> float | None:
    """F1 in points; None where the right answers are not known.

    Of entities as seqeval counts them. Of labels of texts the mean over the labels that there are.
    """
    match task:
        case Task.TOKEN_CLASSIFICATION if all(sample.word_labels for sample in samples):
            found = zip(samples, answers.token_labels or (), strict=True)
            words = [list(_word_labels(sample, tokens)) for sample, tokens in found]
            return f1([sample.word_labels for sample in samples], words)
        case Task.TEXT_CLASSIFICATION:
            expected = [sample.labels for sample in samples if sample.labels is not None]
            labels = [{str(label) for (label,) in each} for each in answers.found]
            return _macro_f1(expected, labels) if len(expected) == len(samples) else None
        case _:
            return None


def _word_labels(sample: Sample, tokens: Sequence[tuple[int, str]]) -> Iterator[str]:
    """A word has the label of its first token, as it was trained; `O` if none of it was read."""
    label_at = dict(reversed(tokens))
    starts = sorted(label_at)
    place, at = 0, 0
    for word in str(sample.inputs).split(" "):
        end = place + len(word)
        while at < len(starts) and starts[at] < place:
            at += 1
        yield label_at[starts[at]] if at < len(starts) and starts[at] < end else "O"
        place = end + 1


def _macro_f1(expected: Sequence[frozenset[str]], found: Sequence[set[str]]) -> float:
    pairs = list(zip(expected, found, strict=True))
    scores = []
    for label in sorted(set().union(*expected, *found)):
        right = sum(label in there and label in ours for there, ours in pairs)
        named = sum((label in there) + (label in ours) for there, ours in pairs)
        scores.append(2 * right / named)
    return _PERCENT * sum(scores) / len(scores) if scores else 0.0
