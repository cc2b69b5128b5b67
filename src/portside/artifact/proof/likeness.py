"""How far the answers of two forms of a model are from each other, task by task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.proof import Likeness
from portside.artifact.proof.span import f1

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from portside.artifact.proof.sample import Sample

Answer = dict[str, Any]
Entities = set[tuple[str, int, int]]
"""By kind and place in the text."""

_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one form of a model made of the samples, in their order."""

    numbers: npt.NDArray[np.float32]
    """All that the graph gave, in one row."""
    answers: Sequence[Any]
    """What callers see, as JSON has it."""
    token_labels: Sequence[Sequence[tuple[int, str]]] | None
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


# --- Agreement ------------------------------------------------------------------


def _agreement(task: Task, original: Answers, other: Answers) -> float:
    ours, theirs = original.answers, other.answers
    match task:
        case Task.TEXT_CLASSIFICATION if original.numbers.size == len(ours):
            # One output, as rerankers have: there is one label, and its score is the answer.
            return _correlation(original.numbers, other.numbers)
        case Task.TOKEN_CLASSIFICATION:
            return _shared(list(map(_entities, ours)), list(map(_entities, theirs)))
        case Task.TEXT_CLASSIFICATION:
            return _equal(list(map(_label, ours)), list(map(_label, theirs)))
        case Task.QUESTION_ANSWERING:
            return _equal(list(map(_place, ours)), list(map(_place, theirs)))
        case Task.FEATURE_EXTRACTION:
            return _mean_cosine(ours, theirs)
        case _:
            assert_never(task)


def _entities(answer: Sequence[Answer]) -> Entities:
    return {(each["entity_group"], each["start"], each["end"]) for each in answer}


def _shared(ours: Sequence[Entities], theirs: Sequence[Entities]) -> float:
    """Where neither finds anything they agree."""
    shared = sum(len(a & b) for a, b in zip(ours, theirs, strict=True))
    there = sum(map(len, ours)) + sum(map(len, theirs))
    return 2 * shared / there if there else 1.0


def _equal(ours: Sequence[object], theirs: Sequence[object]) -> float:
    same = [a == b for a, b in zip(ours, theirs, strict=True)]
    return sum(same) / len(same)


def _place(answer: Answer | list[Answer]) -> tuple[int, int]:
    first = answer[0] if isinstance(answer, list) else answer
    return first["start"], first["end"]


def _label(answer: Answer | list[Answer]) -> str:
    """The best one; a bare text is answered with a list."""
    first = answer[0] if isinstance(answer, list) else answer
    return str(first["label"])


def _correlation(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    """How well scores follow each other, at least 0; equal ones do."""
    import numpy as np  # noqa: PLC0415 - other tasks need none

    if np.array_equal(ours, theirs):
        return 1.0
    if not (ours.std() and theirs.std()):
        return 0.0
    return max(0.0, float(np.corrcoef(ours, theirs)[0, 1]))


def _mean_cosine(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    import numpy as np  # noqa: PLC0415 - other tasks need none

    cosines = []
    for a, b in zip(ours, theirs, strict=True):
        left, right = np.ravel(a), np.ravel(b)
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
        case Task.TEXT_CLASSIFICATION if all(sample.label is not None for sample in samples):
            labels = [_label(each) for each in answers.answers]
            return _macro_f1([str(sample.label) for sample in samples], labels)
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


def _macro_f1(expected: Sequence[str], found: Sequence[str]) -> float:
    pairs = list(zip(expected, found, strict=True))
    scores = []
    for label in sorted({*expected, *found}):
        right = sum(a == b == label for a, b in pairs)
        named = sum(a == label for a, _ in pairs) + sum(b == label for _, b in pairs)
        scores.append(2 * right / named)
    return _PERCENT * sum(scores) / len(scores)
