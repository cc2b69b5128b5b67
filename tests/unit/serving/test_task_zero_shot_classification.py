"""Texts to labels of the request, with logits by hand for each hypothesis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.error import InvalidBodyError
from tests.unit.serving.task_fakes import IDS, FakeBackend, make_checkpoint, make_handler

LABELS = ("contradiction", "neutral", "entailment")


def follow(ids: Any) -> list[Any]:
    """Entailed as often as the hypothesis names Ada, contradicted as often as it names Bob."""
    hypotheses = [row[row.tolist().index(IDS["[SEP]"]) :] for row in ids]
    return [
        [((row == IDS["Bob"]).sum(), 5, (row == IDS["Ada"]).sum()) for row in hypotheses],
    ]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return make_checkpoint(tmp_path, Task.ZERO_SHOT_CLASSIFICATION, labels=LABELS, entailment=2)


def predict(checkpoint: Checkpoint, inputs: object, **parameters: Any) -> Any:
    body = {"inputs": inputs, "parameters": parameters}
    return make_handler(checkpoint, FakeBackend(follow)).predict(body)


def test_labels_in_the_order_of_their_scores(checkpoint: Checkpoint):
    labels = ["Bob", "Ada Ada", "Ada"]

    ranking = predict(checkpoint, "met", candidate_labels=labels)

    assert (ranking.sequence, ranking.labels) == ("met", ["Ada Ada", "Ada", "Bob"])
    weights = np.exp([2.0, 1.0, 0.0])
    assert ranking.scores == pytest.approx(weights / weights.sum())


def test_each_label_by_itself(checkpoint: Checkpoint):
    ranking = predict(checkpoint, "met", candidate_labels=["Bob", "Ada"], multi_label=True)

    assert ranking.labels == ["Ada", "Bob"]
    assert ranking.scores == pytest.approx([0.7311, 0.2689], abs=1e-4)


def test_a_single_label_stands_by_itself(checkpoint: Checkpoint):
    ranking = predict(checkpoint, "met", candidate_labels=["Bob"])

    assert ranking.scores == pytest.approx([0.2689], abs=1e-4)


def test_contradiction_is_the_first_label_or_where_that_is_entailment_the_last(
    checkpoint: Checkpoint,
):
    turned = replace(checkpoint, labels=LABELS[::-1], entailment=0)

    ranking = predict(turned, "met", candidate_labels=["Bob Bob Ada"])

    assert ranking.scores == pytest.approx([0.7311], abs=1e-4)  # two for, one against


def test_labels_between_commas_and_a_template(checkpoint: Checkpoint):
    ranking = predict(
        checkpoint,
        ["met"],
        candidate_labels=" Bob,, met ",
        hypothesis_template="Ada {} Ada",
    )[0]

    assert ranking.labels[::-1] == ["Bob", "met"] or ranking.labels == ["Bob", "met"]
    assert ranking.scores == pytest.approx([0.5, 0.5])


def test_the_text_is_cut_short_and_the_label_never(checkpoint: Checkpoint):
    backend = FakeBackend(follow)
    labels = ["Ada", "Ada " * 20]
    body = {"inputs": "met " * 99, "parameters": {"candidate_labels": labels}}

    make_handler(checkpoint, backend).predict(body)

    [feed] = backend.feeds
    assert feed["input_ids"].shape == (2, 64)
    assert sorted((row == IDS["Ada"]).sum() for row in feed["input_ids"]) == [1, 20]
    # [CLS] … [SEP] [UNK] [UNK] [UNK] Ada . [SEP]
    assert sorted((row == IDS["met"]).sum() for row in feed["input_ids"]) == [37, 56]


def test_without_labels_it_classifies_by_the_models_own(checkpoint: Checkpoint):
    backend = FakeBackend(follow)

    answer: Any = make_handler(checkpoint, backend).predict(
        {"inputs": {"text": "met", "text_pair": "Ada " * 9}}
    )

    assert answer.label == "entailment"


@pytest.mark.parametrize(
    ("inputs", "parameters", "message"),
    [
        ("a", {"candidate_labels": []}, "expected at least one label in `candidate_labels`"),
        ("a", {"candidate_labels": " , "}, "expected at least one label in `candidate_labels`"),
        ("a", {"candidate_labels": None}, "expected at least one label in `candidate_labels`"),
        ("a", {"candidate_labels": ["a", 1]}, "a string as `parameters.candidate_labels[1]`"),
        ("a", {"candidate_labels": 3}, "a list as `parameters.candidate_labels`, got `3`"),
        ({"text": "a"}, {"candidate_labels": ["a"]}, "a string as `inputs`"),
        (
            "a",
            {"candidate_labels": ["a"], "hypothesis_template": "It is so"},
            "a sentence with `{}` in the place of the label as `parameters.hypothesis_template`",
        ),
        (
            "a",
            {"candidate_labels": ["a", "Ada " * 99]},
            "a label that leaves room for the text as `parameters.candidate_labels[1]`, got one of",
        ),
        ("a", {"candidate_labels": ["a"], "top_k": 1}, "nothing but `candidate_labels`"),
        (["a"] * 50, {"candidate_labels": ["b"] * 50}, "at most 2048 pairs of a text and a label"),
    ],
)
def test_what_is_wrong_is_named(
    checkpoint: Checkpoint, inputs: object, parameters: dict[str, Any], message: str
):
    with pytest.raises(InvalidBodyError) as caught:
        predict(checkpoint, inputs, **parameters)

    assert message in caught.value.message
