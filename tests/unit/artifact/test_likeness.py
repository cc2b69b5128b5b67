"""How far answers are apart, task by task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.likeness import Answers, compare
from portside.artifact.proof.sample import Sample


def answers(
    found: list[Any] | None = None,
    *,
    numbers: list[float] | None = None,
    vectors: list[list[float]] | None = None,
    tokens: Any = None,
) -> Answers:
    return Answers(
        numbers=np.array(numbers or [0.0], dtype=np.float32),
        found=[frozenset(each) for each in found or ()],
        vectors=[np.array(vector, dtype=np.float32) for vector in vectors or ()],
        token_labels=tokens,
    )


def labeled(*labels: str) -> Sample:
    return Sample(inputs="text", labels=frozenset(labels))


def texts(count: int) -> list[Sample]:
    return [Sample(inputs="text")] * count


def test_the_largest_difference_of_any_number():
    likeness = compare(
        Task.TOKEN_CLASSIFICATION,
        texts(1),
        original=answers([[]], numbers=[1.0, -2.0, 3.0]),
        other=answers([[]], numbers=[1.1, -2.5, 3.0]),
    )

    assert likeness.largest_difference == pytest.approx(0.5)
    assert likeness.agreement == 1.0
    assert likeness.f1_before is likeness.f1_after is None


def test_entities_agree_by_kind_and_place():
    ours = [[("PER", 0, 3), ("LOC", 5, 9)], [("PER", 0, 3)]]
    theirs = [[("PER", 0, 3), ("ORG", 5, 9)], []]

    likeness = compare(
        Task.TOKEN_CLASSIFICATION, texts(2), original=answers(ours), other=answers(theirs)
    )

    assert likeness.agreement == pytest.approx(2 * 1 / (3 + 2))


def test_labels_of_texts_agree_or_do_not():
    ours, theirs = [[("GOOD",)], [("BAD",)]], [[("GOOD",)], [("GOOD",)]]
    samples = [labeled("GOOD"), labeled("BAD")]

    likeness = compare(
        Task.TEXT_CLASSIFICATION,
        samples,
        original=answers(ours, numbers=[0.9, 0.1, 0.4, 0.6]),
        other=answers(theirs, numbers=[0.7, 0.3, 0.6, 0.4]),
    )

    assert likeness.agreement == 0.5
    assert likeness.f1_before == 100
    assert likeness.f1_after == pytest.approx(100 * (2 / 3 + 0) / 2)


def test_labels_that_do_not_exclude_each_other_agree_as_sets():
    likeness = compare(
        Task.TEXT_CLASSIFICATION,
        [labeled("RAIN", "WIND"), labeled()],
        original=answers([[("RAIN",), ("WIND",)], []], numbers=[1, 1, -1, -1]),
        other=answers([[("RAIN",)], []], numbers=[1, -1, -1, -1]),
    )

    assert likeness.agreement == pytest.approx(2 * 1 / (2 + 1))
    assert likeness.f1_before == 100
    assert likeness.f1_after == pytest.approx(100 * (1 + 0) / 2)


def test_one_text_without_a_label_leaves_no_score():
    same = answers([[("GOOD",)]] * 2, numbers=[1, 0, 1, 0])
    samples = [labeled("GOOD"), Sample(inputs="b")]

    likeness = compare(Task.TEXT_CLASSIFICATION, samples, original=same, other=same)

    assert likeness.f1_before is None


@pytest.mark.parametrize(
    ("scores", "agreement"), [([1.0, 2.0, 3.0], 1), ([1.0, 3.0, 2.0], 0.5), ([3.0, 2.0, 1.0], 0)]
)
def test_single_scores_agree_by_how_they_follow_each_other(scores: list[float], agreement: float):
    same = [[("LABEL_0",)]] * 3

    likeness = compare(
        Task.TEXT_CLASSIFICATION,
        texts(3),
        original=answers(same, numbers=[1.0, 2.0, 3.0]),
        other=answers(same, numbers=scores),
    )

    assert likeness.agreement == pytest.approx(agreement)


def test_answers_cut_from_a_text_agree_by_place():
    ours, theirs = [[(1, 2)], [(0, 5)]], [[(1, 2)], [(0, 4)]]

    likeness = compare(
        Task.QUESTION_ANSWERING, texts(2), original=answers(ours), other=answers(theirs)
    )

    assert likeness.agreement == 0.5


def test_vectors_agree_by_their_angle():
    ours, theirs = [[1.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [2.0, 0.0]]

    likeness = compare(
        Task.FEATURE_EXTRACTION,
        texts(2),
        original=answers(vectors=ours),
        other=answers(vectors=theirs),
    )

    assert likeness.agreement == pytest.approx(0.5)


def test_a_word_has_the_label_of_its_first_token():
    sample = Sample(inputs="Ada Lovelace slept", word_labels=("B-PER", "I-PER", "O"))
    right = [[(0, "B-PER"), (4, "I-PER"), (8, "O"), (13, "O")]]
    wrong = [[(0, "B-PER"), (4, "O"), (8, "I-PER"), (13, "O")]]

    likeness = compare(
        Task.TOKEN_CLASSIFICATION,
        [sample],
        original=answers([[]], tokens=right),
        other=answers([[]], tokens=wrong),
    )

    assert (likeness.f1_before, likeness.f1_after) == (100, 0)


def test_a_word_of_which_no_token_was_read_is_outside():
    sample = Sample(inputs="\u200b Ada", word_labels=("B-PER", "B-PER"))

    likeness = compare(
        Task.TOKEN_CLASSIFICATION,
        [sample],
        original=answers([[]], tokens=[[(2, "B-PER")]]),
        other=answers([[]], tokens=[[(2, "B-PER")]]),
    )

    assert likeness.f1_before == pytest.approx(100 * 2 / 3)
