"""Questions to places in their contexts, with a model that points at words by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.error import InvalidBodyError
from tests.unit.serving.task_fakes import IDS, FakeBackend, make_checkpoint, make_handler

CONTEXT = "Ada Lovelace met Bob . Bob met London ."


def point(first: str, last: str, *, sure: float = 9, elsewhere: float = 0) -> Any:
    """A model that is sure where the answer begins and ends."""

    def logits(ids: Any) -> list[Any]:
        return [np.where(ids == IDS[word], sure, elsewhere) for word in (first, last)]

    return logits


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return make_checkpoint(tmp_path, Task.QUESTION_ANSWERING)


def predict(
    checkpoint: Checkpoint, inputs: object, *, logits: Any = None, **parameters: Any
) -> Any:
    backend = FakeBackend(logits or point("London", "London"))
    body = {"inputs": inputs, "parameters": parameters}
    return make_handler(checkpoint, backend).predict(body)


def ask(checkpoint: Checkpoint, context: str = CONTEXT, **options: Any) -> Any:
    return predict(checkpoint, {"question": "met Bob", "context": context}, **options)


def test_the_answer_is_a_place_in_the_context(checkpoint: Checkpoint):
    span = ask(checkpoint)

    assert (span.answer, CONTEXT[span.start : span.end]) == ("London", "London")
    assert 0.99 < span.score < 1


def test_the_question_itself_is_no_answer(checkpoint: Checkpoint):
    span = predict(checkpoint, {"question": "London", "context": "Ada met London"})

    assert (span.answer, span.start) == ("London", 8)


def test_a_list_gets_a_list(checkpoint: Checkpoint):
    item = {"question": "Bob", "context": CONTEXT}

    assert [span.answer for span in predict(checkpoint, [item, item])] == ["London", "London"]


def test_a_part_of_a_word_becomes_the_word_if_wished(checkpoint: Checkpoint):
    logits = point("##lace", "##lace")

    assert ask(checkpoint, logits=logits).answer == "Lovelace"
    assert ask(checkpoint, logits=logits, align_to_words=False).answer == "lace"


def test_the_same_words_in_two_places_are_one_answer(checkpoint: Checkpoint):
    first, *_ = ask(checkpoint, logits=point("Bob", "Bob"), top_k=3)

    assert first.answer == CONTEXT[first.start : first.end] == "Bob"
    assert 0.99 < first.score / 0.5 < 1, "two halves of all four pairs of a start and an end"


def test_an_answer_is_not_longer_than_asked(checkpoint: Checkpoint):
    logits = point("Ada", "London")

    assert ask(checkpoint, logits=logits).answer == CONTEXT[:-2]
    assert len(ask(checkpoint, logits=logits, max_answer_len=3).answer.split()) <= 3


def test_no_answer_if_wished(checkpoint: Checkpoint):
    logits = point("[CLS]", "[CLS]")

    assert ask(checkpoint, logits=logits).answer != ""
    span = ask(checkpoint, logits=logits, handle_impossible_answer=True)
    assert (span.answer, span.start, span.end) == ("", 0, 0)
    assert span.score > 0.99


def test_a_context_without_a_token_has_no_answer(checkpoint: Checkpoint):
    span = ask(checkpoint, context=" ")

    assert (span.answer, span.start, span.end, span.score) == ("", 0, 0, 0)
    assert [span.answer for span in ask(checkpoint, context=" ", top_k=3)] == [""]


@pytest.mark.parametrize("may_be_impossible", [True, False])
def test_a_broken_model_does_not_look_like_one_without_answer(
    checkpoint: Checkpoint, *, may_be_impossible: bool
):
    logits = point("Ada", "Ada", sure=np.nan, elsewhere=np.nan)

    span = ask(checkpoint, logits=logits, handle_impossible_answer=may_be_impossible)

    assert np.isnan(span.score)


def test_a_long_context_is_read_in_windows(checkpoint: Checkpoint):
    context = "met Ada . " * 40 + "London " + "met Bob . " * 40
    backend = FakeBackend(point("London", "London"))
    body = {"inputs": {"question": "Ada", "context": context}, "parameters": {"doc_stride": 8}}

    span: Any = make_handler(checkpoint, backend).predict(body)

    assert context[span.start : span.end] == "London"
    assert sum(len(feed["input_ids"]) for feed in backend.feeds) == 5
    assert max(feed["input_ids"].shape[1] for feed in backend.feeds) == 64
    assert backend.feeds[0]["token_type_ids"][0].tolist()[:4] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("inputs", "parameters", "message"),
    [
        ("Ada", {}, "expected an object with `question` and `context` as `inputs`, got `Ada`"),
        ([{"question": "a"}], {}, "`question` and `context` as `inputs[0]`"),
        ({"question": "a", "context": 3}, {}, "expected a string as `inputs.context`"),
        ({"question": "", "context": "a"}, {}, "a string that is not empty as `inputs.question`"),
        (
            {"question": "a", "context": ""},
            {},
            "a string that is not empty as `inputs.context`, got an empty one",
        ),
        (
            {"question": "Ada " * 33, "context": "a"},
            {},
            (
                "a question of at most 32 tokens, half of what is read at a time as "
                "`inputs.question`, got one of 33"
            ),
        ),
        (
            {"question": "Ada " * 21, "context": "a"},
            {"doc_stride": 31},
            "a whole number from 0 to 30 as `parameters.doc_stride`, got `31`",
        ),
        ({"question": "a", "context": "a"}, {"max_seq_len": 3}, "at most 1 tokens"),
        ({"question": "a", "context": "a"}, {"top_k": 0}, "`parameters.top_k`"),
    ],
)
def test_what_is_wrong_is_named(
    checkpoint: Checkpoint, inputs: object, parameters: dict[str, Any], message: str
):
    with pytest.raises(InvalidBodyError) as caught:
        predict(checkpoint, inputs, **parameters)

    assert message in caught.value.message
