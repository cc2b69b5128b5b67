"""Do two servers give the same answers? Asked before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.server import Answer

FP32_TOLERANCE: Final = 1e-4
"""Between scores: the same weights, summed up in another order."""

INT8_TOLERANCE: Final = 0.15
"""Between scores where one side has 8-bit weights: their spans and labels must be the same."""

_COMPARED: Final = ("entity_group", "start", "end", "word")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Both answered alike: on so many texts, with so many entities, scores at most so far apart."""

    texts: int
    entities: int
    largest_score_difference: float


def check_agreement(
    texts: Sequence[str],
    expected: Sequence[Answer],
    answers: Sequence[Answer],
    *,
    tolerance: float = FP32_TOLERANCE,
) -> Agreement:
    """Compare spans, labels and scores; ends the benchmark at the first difference."""
    if not len(texts) == len(expected) == len(answers):
        raise SystemExit(f"bench: {len(expected)} and {len(answers)} answers to {len(texts)} texts")
    largest = 0.0
    for text, wanted, given in zip(texts, expected, answers, strict=True):
        if _plain(wanted) != _plain(given):
            raise SystemExit(f"bench: the answers differ on {text!r}:\n{wanted}\n{given}")
        for one, other in zip(wanted, given, strict=True):
            difference = abs(one["score"] - other["score"])
            # Written so that NaN does not pass.
            if not difference <= tolerance:
                raise SystemExit(f"bench: scores differ by {difference:.2g} on {text!r}")
            largest = max(largest, difference)
    entities = sum(len(wanted) for wanted in expected)
    if not entities:
        raise SystemExit("bench: no entity in any answer, so there is nothing to compare")
    return Agreement(texts=len(texts), entities=entities, largest_score_difference=largest)


def _plain(entities: Answer) -> list[tuple[Any, ...]]:
    return [tuple(entity[key] for key in _COMPARED) for entity in entities]
