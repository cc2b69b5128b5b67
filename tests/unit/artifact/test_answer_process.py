"""What is asked of a model, and what a caller finds in its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from portside.artifact.proof.answer_process import findings, open_samples
from portside.deploy import verify
from portside.errors import BuildError
from portside.serving import codecs
from portside.serving.error import InvalidBodyError
from portside.serving.tasks.aggregation import Entity, TokenEntity
from portside.serving.tasks.field import Field
from portside.serving.tasks.question_answering import Span
from portside.serving.tasks.task import Work
from portside.serving.tasks.text_classification import LabelScore


class Reader:
    """A task that takes texts, but no empty ones."""

    example = "text"

    def __init__(self) -> None:
        self.read: list[Any] = []

    def open(self, body: Field) -> Work:
        self.read.append(body.value)
        if not body.members("inputs", optional=("parameters",))["inputs"].value:
            raise InvalidBodyError("expected texts with at least one token in each")
        return Work(inputs=[], answer=list)


@pytest.mark.parametrize(
    ("exclusive", "parameters"), [(True, {}), (False, {"parameters": {"top_k": None}})]
)
def test_labels_that_do_not_exclude_each_other_are_all_asked_for(
    exclusive: bool, parameters: dict[str, Any]
):
    task = Reader()

    assert len(open_samples(task, ["one", "two"], exclusive=exclusive)) == 2

    assert task.read == [{"inputs": text, **parameters} for text in ("one", "two")]


def test_a_sample_that_only_the_tokenizer_refuses_is_named():
    with pytest.raises(BuildError) as raised:
        open_samples(Reader(), ["one", ""], exclusive=True)

    reason = "expected texts with at least one token in each"
    assert raised.value.message == f"sample 2 of 2 (''): {reason}"


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        [Entity(entity_group="PER", score=0.4, word="Ada", start=0, end=3)],
        [TokenEntity(entity="B-PER", score=1.0, index=1, word="Ada", start=0, end=3)],
        [],
        LabelScore(label="GOOD", score=0.4),
        [LabelScore(label="GOOD", score=1.0), LabelScore(label="NEW", score=0.2)],
        Span(score=0.4, start=0, end=3, answer="Ada"),
        [Span(score=0.0, start=0, end=0, answer="")],
    ],
)
def test_what_is_found_at_the_packaging_is_found_in_an_endpoints_answer(
    answer: object, exclusive: bool
):
    sent = json.loads(codecs.encode(answer, codecs.JSON))

    found = set(findings(answer, exclusive=exclusive))

    assert verify.findings(sent, is_exclusive=exclusive) == found
