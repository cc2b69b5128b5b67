"""Whatever a body says: an answer that can be written, or a RequestError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serving import codecs
from portside.serving.checkpoint import Task
from portside.serving.error import RequestError
from portside.serving.handlers.task import TaskHandler
from tests.unit.serving.task_fakes import FakeBackend, make_checkpoint, make_handler

LABELS = ("O", "B-PER", "entailment")

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(["", " ", "Ada met Bob.", "Lovelace " * 80, "none", "max", "cls", "{}"]),
)
KEYS = st.sampled_from(
    [
        "inputs",
        "strings",
        "parameters",
        "text",
        "text_pair",
        "question",
        "context",
        "aggregation_strategy",
        "ignore_labels",
        "stride",
        "top_k",
        "function_to_apply",
        "truncation",
        "pooling",
        "normalize",
        "doc_stride",
        "max_seq_len",
        "max_answer_len",
        "handle_impossible_answer",
        "align_to_words",
        "candidate_labels",
        "hypothesis_template",
        "multi_label",
        "other",
    ]
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)

NUMBERS = st.sampled_from([0, 1, 2, 5, 30, 47, 63, 64, 2**63])
PARAMETERS = {
    Task.TOKEN_CLASSIFICATION: {
        "aggregation_strategy": st.sampled_from(["none", "simple", "first", "average", "max"]),
        "ignore_labels": st.lists(st.sampled_from(LABELS)),
        "stride": NUMBERS,
    },
    Task.TEXT_CLASSIFICATION: {
        "top_k": NUMBERS | st.none(),
        "function_to_apply": st.sampled_from(["softmax", "sigmoid", "none"]),
        "truncation": st.booleans(),
    },
    Task.ZERO_SHOT_CLASSIFICATION: {
        "candidate_labels": st.lists(st.text(max_size=9), max_size=4) | st.text(max_size=9),
        "hypothesis_template": st.just("{}") | st.text(max_size=9),
        "multi_label": st.booleans(),
    },
    Task.QUESTION_ANSWERING: {
        "top_k": NUMBERS,
        "doc_stride": NUMBERS,
        "max_seq_len": NUMBERS,
        "max_answer_len": NUMBERS,
        "handle_impossible_answer": st.booleans(),
        "align_to_words": st.booleans(),
    },
    Task.FEATURE_EXTRACTION: {
        "pooling": st.sampled_from(["none", "mean", "cls", "max"]),
        "normalize": st.booleans(),
        "truncation": st.booleans(),
    },
}
TEXTS = st.text(max_size=80) | st.sampled_from(["", "Lovelace " * 80, "Ada met Bob. " * 30])
ITEMS = {
    Task.TEXT_CLASSIFICATION: TEXTS | st.fixed_dictionaries({"text": TEXTS, "text_pair": TEXTS}),
    Task.QUESTION_ANSWERING: st.fixed_dictionaries({"question": TEXTS, "context": TEXTS}),
}


def make_logits(task: Task) -> Any:
    def logits(ids: Any) -> list[Any]:
        random = np.random.default_rng(ids.size)
        match task:
            case Task.TEXT_CLASSIFICATION | Task.ZERO_SHOT_CLASSIFICATION:
                return [random.normal(size=(len(ids), len(LABELS)))]
            case Task.QUESTION_ANSWERING:
                return [random.normal(size=ids.shape), random.normal(size=ids.shape)]
            case _:
                return [random.normal(size=(*ids.shape, len(LABELS)))]

    return logits


@pytest.fixture(scope="module", params=Task)
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Task, TaskHandler]:
    task: Task = request.param
    folder: Path = tmp_path_factory.mktemp(task.value)
    is_labeled = task not in {Task.QUESTION_ANSWERING, Task.FEATURE_EXTRACTION}
    checkpoint = make_checkpoint(folder, task, labels=LABELS if is_labeled else (), entailment=2)
    return task, make_handler(checkpoint, FakeBackend(make_logits(task)))


def answer_or_refuse(handler: TaskHandler, body: object) -> None:
    refusal: RequestError | None = None
    try:
        codecs.encode(handler.predict(body), "application/json")
    except RequestError as error:
        refusal = error
    assert refusal is None or (refusal.status == 400 and len(refusal.message) < 1000)


@given(data=st.data())
def test_any_value(subject: tuple[Task, TaskHandler], data: st.DataObject):
    answer_or_refuse(subject[1], data.draw(ANYTHING))


@given(data=st.data())
def test_bodies_that_are_nearly_right(subject: tuple[Task, TaskHandler], data: st.DataObject):
    task, handler = subject
    parameters = st.fixed_dictionaries({}, optional=PARAMETERS[task])
    items = ITEMS.get(task, TEXTS)
    body = {
        "inputs": data.draw(items | st.lists(items, max_size=3)),
        "parameters": data.draw(parameters),
    }

    answer_or_refuse(handler, body)
