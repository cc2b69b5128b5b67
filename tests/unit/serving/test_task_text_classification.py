"""Texts and pairs to labels, with logits made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.error import InvalidBodyError
from portside.serving.tasks.text_classification import LabelScore
from tests.unit.serving.task_fakes import IDS, FakeBackend, make_checkpoint, make_handler

LABELS = ("calm", "joy", "fear")
LOGITS = [0.0, 2.0, -1.0]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return make_checkpoint(tmp_path, Task.TEXT_CLASSIFICATION, labels=LABELS)


def predict(
    checkpoint: Checkpoint, inputs: object, *, logits: list[float] | None = None, **parameters: Any
) -> Any:
    backend = FakeBackend(lambda ids: [np.tile(logits or LOGITS, (len(ids), 1))])
    body = {"inputs": inputs, "parameters": parameters}
    return make_handler(checkpoint, backend).predict(body)


def scores(answer: list[LabelScore]) -> dict[str, float]:
    return {label.label: round(label.score, 4) for label in answer}


def test_the_best_label_of_each_text(checkpoint: Checkpoint):
    answer = predict(checkpoint, ["Ada", "Bob met Ada"])

    assert [label.label for label in answer] == ["joy", "joy"]
    assert answer[0].score == pytest.approx(0.8438, abs=1e-4)


def test_a_bare_text_gets_its_label_in_a_list(checkpoint: Checkpoint):
    assert scores(predict(checkpoint, "Ada")) == {"joy": 0.8438}


def test_a_bare_pair_gets_its_label_bare(checkpoint: Checkpoint):
    assert predict(checkpoint, {"text": "Ada", "text_pair": "Bob"}).label == "joy"


def test_the_best_few_or_all(checkpoint: Checkpoint):
    assert list(scores(predict(checkpoint, "Ada", top_k=2))) == ["joy", "calm"]
    assert list(scores(predict(checkpoint, "Ada", top_k=99))) == ["joy", "calm", "fear"]
    [one] = predict(checkpoint, ["Ada"], top_k=None)
    assert list(scores(one)) == ["joy", "calm", "fear"]


@pytest.mark.parametrize(
    ("problem_type", "labels", "expected"),
    [
        (None, LABELS, {"calm": 0.1142, "joy": 0.8438, "fear": 0.042}),
        ("single_label_classification", LABELS, {"calm": 0.1142, "joy": 0.8438, "fear": 0.042}),
        ("multi_label_classification", LABELS, {"calm": 0.5, "joy": 0.8808, "fear": 0.2689}),
        ("regression", LABELS, {"calm": 0.0, "joy": 2.0, "fear": -1.0}),
        (None, ("score",), {"score": 0.8808}),
        ("regression", ("score",), {"score": 2.0}),
    ],
)
def test_scores_are_of_the_kind_that_the_model_was_trained_for(
    tmp_path: Path, problem_type: str | None, labels: tuple[str, ...], expected: dict[str, float]
):
    checkpoint = make_checkpoint(
        tmp_path, Task.TEXT_CLASSIFICATION, labels=labels, problem_type=problem_type
    )
    logits = LOGITS if len(labels) > 1 else [2.0]

    assert scores(predict(checkpoint, "Ada", logits=logits, top_k=None)) == expected


def test_the_function_of_the_request_wins(checkpoint: Checkpoint):
    answer = predict(checkpoint, "Ada", top_k=None, function_to_apply="none")

    assert scores(answer) == {"joy": 2.0, "calm": 0.0, "fear": -1.0}


def test_large_logits_do_not_overflow(checkpoint: Checkpoint):
    answer = predict(
        checkpoint, "Ada", logits=[-1e4, 0, 1e4], top_k=None, function_to_apply="sigmoid"
    )

    assert scores(answer) == {"fear": 1.0, "joy": 0.5, "calm": 0.0}


def feed_of(checkpoint: Checkpoint, inputs: object) -> dict[str, Any]:
    backend = FakeBackend(lambda ids: [np.tile(LOGITS, (len(ids), 1))])
    make_handler(checkpoint, backend).predict({"inputs": inputs})
    return backend.feeds[0]


def test_a_pair_is_told_apart(checkpoint: Checkpoint):
    feed = feed_of(checkpoint, {"text": "Ada met", "text_pair": "Bob"})

    assert feed["input_ids"].tolist() == [
        [IDS[word] for word in ("[CLS]", "Ada", "met", "[SEP]", "Bob", "[SEP]")]
    ]
    assert feed["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("text", "pair", "kept"),
    [
        (100, None, (62, 0)),
        (100, 5, (56, 5)),
        (5, 100, (5, 56)),
        (100, 100, (30, 31)),
        (31, 100, (30, 31)),
    ],
)
def test_what_is_too_long_is_cut_where_it_is_longer(
    checkpoint: Checkpoint, text: int, pair: int | None, kept: tuple[int, int]
):
    inputs = {"text": "Ada " * text} | ({"text_pair": "Bob " * pair} if pair else {})

    [ids] = feed_of(checkpoint, inputs)["input_ids"]

    assert ((ids == IDS["Ada"]).sum(), (ids == IDS["Bob"]).sum()) == kept


@pytest.mark.parametrize(
    ("inputs", "parameters", "message"),
    [
        (3, {}, "expected a string as `inputs`, got `3`"),
        (["a", None], {}, "expected a string as `inputs[1]`, got `null`"),
        ([{"text_pair": "a"}], {}, "an object with `text` and, if wanted, `text_pair` as `inputs["),
        ({"text": "a", "text_pair": 1}, {}, "expected a string as `inputs.text_pair`, got `1`"),
        ("a", {"top_k": 0}, "expected a whole number of at least 1 as `parameters.top_k`"),
        ("a", {"function_to_apply": "max"}, "expected one of `softmax`, `sigmoid`, `none`"),
        (
            ["a", "Ada " * 99],
            {"truncation": False},
            "expected a text of at most 64 tokens as `inputs[1]`, got one of 101; leave",
        ),
    ],
)
def test_what_is_wrong_is_named(
    checkpoint: Checkpoint, inputs: object, parameters: dict[str, Any], message: str
):
    with pytest.raises(InvalidBodyError) as caught:
        predict(checkpoint, inputs, **parameters)

    assert message in caught.value.message
