"""What the OpenAPI document says of a task, held beside what the task takes and gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import numpy as np
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.serving import codecs
from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.error import InvalidBodyError
from portside.serving.handlers.openapi import Description
from portside.serving.handlers.task import OUTPUTS, TaskHandler, make_task
from portside.serving.handlers.task_schema import describe_task
from portside.serving.sentence_model import Pooling
from portside.serving.tasks.strategy import AggregationStrategy
from portside.serving.tasks.tokenizer import max_stride

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_TOKENS = 64
MOST_STRIDE = max_stride(MAX_TOKENS - 2)
LABELS = ("O", "B-PER", "entailment")


class FlatBackend:
    """Outputs of the right shapes, that favor nothing."""

    runs = 1
    input_names = ("input_ids", "attention_mask")

    def __init__(self, task: Task) -> None:
        self._task = task

    def run(self, feed: Mapping[str, Any]) -> Sequence[Any]:
        texts, tokens = feed["input_ids"].shape
        shape = {
            Task.TOKEN_CLASSIFICATION: (texts, tokens, len(LABELS)),
            Task.FEATURE_EXTRACTION: (texts, tokens, 4),
            Task.QUESTION_ANSWERING: (texts, tokens),
        }.get(self._task, (texts, len(LABELS)))
        random = np.random.default_rng(0)
        return [random.random(shape, dtype=np.float32) for _ in OUTPUTS[self._task]]


def save_tokenizer(path: Path) -> Path:
    vocabulary = {word: index for index, word in enumerate(("[UNK]", "[CLS]", "[SEP]", "Ada"))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.save(str(path))
    return path


class Subject:
    """A task as it is, and as it is described."""

    def __init__(self, task: Task, folder: Path) -> None:
        has_labels = task not in {Task.QUESTION_ANSWERING, Task.FEATURE_EXTRACTION}
        checkpoint = Checkpoint(
            task=task,
            onnx_path=Path("unused"),
            tokenizer_path=save_tokenizer(folder / "tokenizer.json"),
            labels=LABELS if has_labels else (),
            entailment=2 if task is Task.ZERO_SHOT_CLASSIFICATION else None,
            pooling=Pooling.NONE,
            max_tokens=MAX_TOKENS,
        )
        made = make_task(checkpoint, strategy=AggregationStrategy.SIMPLE)
        self.handler = TaskHandler(checkpoint, made, FlatBackend(task))
        self.description = describe_task(task, example=made.example, most_stride=MOST_STRIDE)
        self._request = self._validator(self.description.request)
        self._response = self._validator(self.description.response)

    def _validator(self, schema: Any) -> Any:
        document = {**schema, "components": {"schemas": self.description.components}}
        return jsonschema_rs.validator_for(document)

    def says(self, body: bytes) -> bool:
        """Whether the document allows a body."""
        return bool(self._request.is_valid(json.loads(body)))

    def check(self, body: bytes) -> None:
        """Document and task have to agree on a body, and on its answer."""
        answer, refusal = None, None
        try:
            answer = self.handler.predict(codecs.decode(body, None))
        except InvalidBodyError as error:
            refusal = error
        assert self.says(body) is (refusal is None), f"{body!r}: {refusal or 'answered'}"
        if refusal is None:
            self._response.validate(json.loads(codecs.encode(answer, "application/json")))


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Subject]:
    return {task: Subject(task, tmp_path_factory.mktemp(task.value)) for task in Task}


# --- Bodies ------------------------------------------------------------------------

TEXTS = st.sampled_from(["Ada", "Ada lived in London", "x, y", " , ", "{} is so", " "])
WORDS = st.sampled_from(["simple", "none", "mean", "cls", "softmax", "sigmoid", "O", "first"])
NUMBERS = st.sampled_from([-1, 0, 1, 2, MOST_STRIDE, MOST_STRIDE + 1, 2**70, 1.5])
LEAVES = st.one_of(TEXTS, WORDS, NUMBERS, st.booleans(), st.none(), st.just(""))

OPTIONS = {
    "aggregation_strategy": st.one_of(WORDS, LEAVES),
    "ignore_labels": st.one_of(st.lists(WORDS, max_size=2), LEAVES),
    "stride": LEAVES,
    "function_to_apply": LEAVES,
    "top_k": LEAVES,
    "truncation": LEAVES,
    "candidate_labels": st.one_of(st.lists(st.one_of(WORDS, LEAVES), max_size=2), LEAVES),
    "hypothesis_template": LEAVES,
    "multi_label": LEAVES,
    "align_to_words": LEAVES,
    "handle_impossible_answer": LEAVES,
    "max_answer_len": LEAVES,
    "pooling": LEAVES,
    "normalize": LEAVES,
    "unknown": LEAVES,
}

OPTIONS_BY_TASK = {
    Task.TOKEN_CLASSIFICATION: ("aggregation_strategy", "ignore_labels", "stride"),
    Task.TEXT_CLASSIFICATION: ("function_to_apply", "top_k", "truncation"),
    Task.ZERO_SHOT_CLASSIFICATION: ("candidate_labels", "hypothesis_template", "multi_label"),
    Task.QUESTION_ANSWERING: (
        *("align_to_words", "handle_impossible_answer", "max_answer_len", "top_k"),
    ),
    Task.FEATURE_EXTRACTION: ("pooling", "normalize", "truncation"),
}


def bodies(task: Task) -> st.SearchStrategy[Any]:
    """Bodies that are right, nearly right, or nothing like it."""
    questions = st.fixed_dictionaries(
        {"question": st.one_of(TEXTS, LEAVES), "context": st.one_of(TEXTS, LEAVES)},
        optional={"more": LEAVES},
    )
    pairs = st.fixed_dictionaries({"text": TEXTS}, optional={"text_pair": LEAVES, "more": LEAVES})
    right = questions if task is Task.QUESTION_ANSWERING else TEXTS
    items = st.one_of(right, right, right, questions, pairs, LEAVES)
    own = {name: OPTIONS[name] for name in OPTIONS_BY_TASK[task]}
    parameters = st.one_of(
        st.fixed_dictionaries({}, optional=own),
        st.fixed_dictionaries({}, optional=OPTIONS),
        LEAVES,
    )
    inputs = st.one_of(items, st.lists(items, max_size=3))
    body = st.one_of(
        st.fixed_dictionaries({"inputs": inputs}, optional={"parameters": parameters}),
        st.fixed_dictionaries({"inputs": inputs, "parameters": parameters}),
        st.fixed_dictionaries({"strings": inputs}, optional={"more": LEAVES}),
        items,
        st.dictionaries(st.sampled_from(["inputs", "strings", "parameters"]), LEAVES),
    )
    return st.one_of(body, body, st.lists(body, max_size=2))


@pytest.mark.parametrize("task", Task)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_document_and_task_agree(
    subjects: dict[Task, Subject], task: Task, data: st.DataObject
) -> None:
    body = data.draw(bodies(task))

    subjects[task].check(json.dumps(body).encode())


@pytest.mark.parametrize("task", Task)
def test_the_example_is_taken(subjects: dict[Task, Subject], task: Task):
    subject = subjects[task]

    assert subject.says(json.dumps(subject.description.example).encode())
    subject.check(json.dumps(subject.description.example).encode())


@pytest.mark.parametrize(
    ("task", "body"),
    [
        (Task.TOKEN_CLASSIFICATION, "null"),
        (Task.TOKEN_CLASSIFICATION, '{"inputs": [["a"]]}'),
        (Task.TOKEN_CLASSIFICATION, '{"inputs": "a", "parameters": {"strategy": "simple"}}'),
        (Task.QUESTION_ANSWERING, '"a"'),
        (Task.FEATURE_EXTRACTION, '{"strings": ["a"], "parameters": {}}'),
        (Task.ZERO_SHOT_CLASSIFICATION, '{"strings": ["a"], "parameters": {}}'),
    ],
)
def test_the_document_is_not_too_generous(subjects: dict[Task, Subject], task: Task, body: str):
    assert not subjects[task].says(body.encode())


def test_a_task_answers_with_its_own_statuses_only(subjects: dict[Task, Subject]):
    description: Description = subjects[Task.TOKEN_CLASSIFICATION].description

    assert not description.is_users_own
