"""Which samples are kept, and that they are the same ones each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.likeness import Answers
from portside.artifact.proof.proof import Asked, Finding
from portside.artifact.proof.sample import Sample, Samples
from portside.artifact.proof.selection import LONGEST, MOST, select

ADA: Finding = ("PER", 0, 3)
OSLO: Finding = ("LOC", 5, 9)


def answers(found: Sequence[Sequence[Finding]], *, numbers: int = 1000) -> Answers:
    return Answers(numbers=np.zeros(numbers, np.float32), found=[frozenset(each) for each in found])


def kept(
    found: dict[str, list[Finding]],
    *,
    original: dict[str, list[Finding]] | None = None,
    task: Task = Task.TOKEN_CLASSIFICATION,
) -> tuple[Asked, ...]:
    samples = Samples(source="texts.txt", items=tuple(Sample(inputs=text) for text in found))
    before = found | (original or {})
    return select(
        task,
        samples,
        original=answers(list(before.values())),
        chosen=answers(list(found.values())),
    )


def texts(asked: Sequence[Asked]) -> list[Any]:
    return [one.inputs for one in asked]


def test_short_ones_with_different_findings_and_one_without() -> None:
    found = {
        "nothing to be found here": [],
        "none": [],
        "Ada lives": [ADA],
        "Ada": [ADA],
        "Ada, Oslo": [ADA, OSLO],
        "from Oslo": [OSLO],
        "Ada paints": [ADA],
    }

    assert texts(kept(found)) == ["none", "Ada", "Ada, Oslo", "from Oslo", "Ada lives"]


def test_their_order_in_the_file_does_not_matter() -> None:
    found = {f"Ada {number}": [ADA] for number in range(20)}

    assert kept(found) == kept(dict(reversed(found.items())))
    assert len(kept(found)) == MOST


def test_a_close_call_is_not_kept() -> None:
    found = {"Ada": [ADA], "Bo": [ADA]}

    assert texts(kept(found, original={"Bo": []})) == ["Ada"]


def test_what_is_long_is_not_kept() -> None:
    fits = "x" * (LONGEST - len('""'))

    assert texts(kept({fits: [], "x" + fits: [ADA]})) == [fits]


def test_where_nothing_is_found_in_any_that_is_what_is_kept() -> None:
    assert texts(kept({"b": [], "a": []})) == ["a", "b"]


def test_the_same_sample_is_kept_once() -> None:
    twice = Samples(source="texts.txt", items=(Sample(inputs="Ada"),) * 2)
    found = answers([[ADA], [ADA]])

    assert len(select(Task.TOKEN_CLASSIFICATION, twice, original=found, chosen=found)) == 1


def test_labels_that_differ_come_first() -> None:
    found: dict[str, list[Finding]] = {f"good {n}": [("GOOD",)] for n in range(9)}

    asked = kept({**found, "quite bad, this one": [("BAD",)]}, task=Task.TEXT_CLASSIFICATION)

    assert texts(asked)[:2] == ["good 0", "quite bad, this one"]


def test_places_of_answers_are_kept() -> None:
    question = {"question": "Who?", "context": "Ada"}
    samples = Samples(source="asked.jsonl", items=(Sample(inputs=question),))
    found = answers([[(0, 3)]])

    (asked,) = select(Task.QUESTION_ANSWERING, samples, original=found, chosen=found)

    assert (asked.inputs, asked.found) == (question, {(0, 3)})


@pytest.mark.parametrize("task", [Task.FEATURE_EXTRACTION, Task.TEXT_CLASSIFICATION])
def test_numbers_alone_are_not_compared(task: Task) -> None:
    samples = Samples(source="texts.txt", items=(Sample(inputs="Ada"),))
    # A score for each text, under the one label; vectors are no findings at all.
    found = answers([[("LABEL_0",)]] if task is Task.TEXT_CLASSIFICATION else [], numbers=1)

    assert select(task, samples, original=found, chosen=found) == ()
