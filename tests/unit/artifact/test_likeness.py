"""How far answers are apart, task by task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.likeness import Answers, compare
from portside.artifact.proof.sample import Sample


def answers(
    answers: list[Any], *, numbers: list[float] | None = None, tokens: Any = None
) -> Answers:
    return Answers(
        numbers=np.array(numbers or [0.0], dtype=np.float32), answers=answers, token_labels=tokens
    )


def entity(kind: str, start: int, end: int) -> dict[str, Any]:
    return {"entity_group": kind, "start": start, "end": end, "score": 0.5, "word": "…"}


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
    ours = [[entity("PER", 0, 3), entity("LOC", 5, 9)], [entity("PER", 0, 3)]]
    theirs = [[entity("PER", 0, 3), entity("ORG", 5, 9)], []]

    likeness = compare(
        Task.TOKEN_CLASSIFICATION, texts(2), original=answers(ours), other=answers(theirs)
    )

    assert likeness.agreement == pytest.approx(2 * 1 / (3 + 2))


def test_labels_of_texts_agree_or_do_not():
    # A bare text is answered with a list, an object with an object.
    ours = [[{"label": "GOOD", "score": 0.9}], {"label": "BAD", "score": 0.6}]
    theirs = [[{"label": "GOOD", "score": 0.7}], {"label": "GOOD", "score": 0.6}]
    samples = [Sample(inputs="a", label="GOOD"), Sample(inputs="b", label="BAD")]

    likeness = compare(
        Task.TEXT_CLASSIFICATION,
        samples,
        original=answers(ours, numbers=[0.9, 0.1, 0.4, 0.6]),
        other=answers(theirs, numbers=[0.7, 0.3, 0.6, 0.4]),
    )

    assert likeness.agreement == 0.5
    assert likeness.f1_before == 100
    assert likeness.f1_after == pytest.approx(100 * (2 / 3 + 0) / 2)


@pytest.mark.parametrize(
    ("scores", "agreement"), [([1.0, 2.0, 3.0], 1), ([1.0, 3.0, 2.0], 0.5), ([3.0, 2.0, 1.0], 0)]
)
def test_single_scores_agree_by_how_they_follow_each_other(scores: list[float], agreement: float):
    same = [{"label": "LABEL_0", "score": 0.5}] * 3

    likeness = compare(
        Task.TEXT_CLASSIFICATION,
        texts(3),
        original=answers(same, numbers=[1.0, 2.0, 3.0]),
        other=answers(same, numbers=scores),
    )

    assert likeness.agreement == pytest.approx(agreement)


def test_answers_cut_from_a_text_agree_by_place():
    ours = [{"answer": "a", "start": 1, "end": 2, "score": 0.4}, [{"start": 0, "end": 5}]]
    theirs = [{"answer": "a", "start": 1, "end": 2, "score": 0.3}, [{"start": 0, "end": 4}]]

    likeness = compare(
        Task.QUESTION_ANSWERING, texts(2), original=answers(ours), other=answers(theirs)
    )

    assert likeness.agreement == 0.5


def test_vectors_agree_by_their_angle():
    ours, theirs = [[1.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [2.0, 0.0]]

    likeness = compare(
        Task.FEATURE_EXTRACTION, texts(2), original=answers(ours), other=answers(theirs)
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
