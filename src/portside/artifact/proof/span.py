"""Labels of words to entities, and F1 over them, as seqeval defines both.

    O B-PER I-PER O B-LOC   ──▶   (PER, 1, 3)  (LOC, 4, 5)

An entity counts if its kind and both of its ends are right. The rules are those of
seqeval's default mode, which are conlleval's: an `I-` that follows no label of its
kind begins an entity too. `tests/unit/artifact/test_span.py` holds both side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """An entity: its kind, the first word, and the word after its last."""

    kind: str
    start: int
    end: int


def spans(labels: Sequence[str]) -> list[Span]:
    """The entities that labels of the form `O`, `B-KIND` and `I-KIND` mark, in order."""
    return list(_spans(labels))


def _spans(labels: Sequence[str]) -> Iterator[Span]:
    kind, start = "", 0
    for place, label in enumerate([*labels, "O"]):
        prefix, _, name = label.partition("-")
        if prefix == "O":
            name = ""
        if kind and (name != kind or prefix == "B"):
            yield Span(kind, start, place)
            kind = ""
        if name and not kind:
            kind, start = name, place


def f1(expected: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> float:
    """The micro-averaged F1 over all texts, in points of 100; 0 where there is nothing to find."""
    shared = there = predicted = 0
    for right, ours in zip(expected, found, strict=True):
        wanted, got = set(spans(right)), set(spans(ours))
        shared += len(wanted & got)
        there += len(wanted)
        predicted += len(got)
    return 200 * shared / (there + predicted) if there + predicted else 0.0
