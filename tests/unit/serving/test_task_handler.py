"""A task as a handler: content types, batches over several requests, checks while loading."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portside.errors import PortsideError
from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.error import InvalidBodyError, NotAcceptableError, UnsupportedMediaTypeError
from portside.serving.handlers.task import TaskHandler, make_task
from portside.serving.invocation import Invocation
from portside.serving.tasks.strategy import AggregationStrategy
from tests.unit.serving.task_fakes import (
    FakeBackend,
    make_checkpoint,
    make_handler,
    save_tokenizer,
)

LABELS = ("few", "many")


def count(ids: Any) -> list[Any]:
    """Many for more than five tokens."""
    tokens = (ids != 0).sum(axis=1)
    return [np.where(tokens[:, np.newaxis] > 5, [0.0, 9.0], [9.0, 0.0])]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return make_checkpoint(tmp_path, Task.TEXT_CLASSIFICATION, labels=LABELS)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(count)


@pytest.fixture
def handler(checkpoint: Checkpoint, backend: FakeBackend) -> TaskHandler:
    return make_handler(checkpoint, backend)


def invocation(body: object, **headers: str) -> Invocation:
    return Invocation(body=json.dumps(body).encode(), **headers)


def answer(handler: TaskHandler, asked: Invocation) -> tuple[Any, str]:
    job = handler.open(asked)
    made = job.finish(handler.run(job.inputs))
    assert isinstance(made.body, bytes)
    return made.body, made.content_type


def labels(body: bytes) -> list[str]:
    return [label["label"] for label in json.loads(body)]


# --- Requests -------------------------------------------------------------------


def test_json_in_json_out(handler: TaskHandler):
    body, content_type = answer(handler, invocation({"strings": ["Ada", "Ada " * 9]}))

    assert labels(body) == ["few", "many"]
    assert content_type == "application/json"


def test_plain_text_is_one_text(handler: TaskHandler):
    body, _ = answer(handler, Invocation(body=b"Ada met Bob", content_type="text/plain"))

    assert labels(body) == ["few"]


def test_a_line_of_json_lines_is_a_request_each(handler: TaskHandler):
    lines = [
        {"inputs": ["Ada"]},
        "Ada",
        {"inputs": {"text": "Ada"}, "parameters": {"function_to_apply": "none"}},
    ]
    body = "\n".join(map(json.dumps, lines)).encode()
    asked = Invocation(
        body=body, content_type="application/jsonlines", accept="application/jsonlines"
    )

    written, content_type = answer(handler, asked)

    first, second, third = [json.loads(line) for line in written.splitlines()]
    assert content_type == "application/jsonlines"
    assert [first[0]["label"], second[0]["label"], third] == [
        "few",
        "few",
        {"label": "few", "score": 9.0},
    ]


def test_a_fault_in_a_list_is_named_with_its_place(handler: TaskHandler):
    with pytest.raises(InvalidBodyError, match=r"a string as `\[1\]\.inputs\[0\]`, got `3`"):
        handler.open(invocation(["Ada", {"inputs": [3]}]))


def test_a_default_accept(checkpoint: Checkpoint, backend: FakeBackend):
    handler = make_handler(checkpoint, backend, default_accept="application/jsonlines")

    _, content_type = answer(handler, invocation("Ada"))

    assert content_type == "application/jsonlines"


def test_types_that_cannot_be_read_or_written_are_refused_before_anything_is_run(
    handler: TaskHandler, backend: FakeBackend
):
    with pytest.raises(UnsupportedMediaTypeError):
        handler.open(invocation("Ada", content_type="application/xml"))
    with pytest.raises(NotAcceptableError):
        handler.open(invocation("Ada", accept="application/xml"))
    with pytest.raises(InvalidBodyError):
        handler.open(Invocation(body=b"{"))

    assert not backend.feeds


# --- Batches --------------------------------------------------------------------


def test_inputs_of_several_requests_in_one_run(handler: TaskHandler, backend: FakeBackend):
    jobs = [handler.open(invocation({"strings": texts})) for texts in (["Ada"], ["Ada " * 9, "."])]

    outputs = handler.run([text for job in jobs for text in job.inputs])

    assert len(backend.feeds) == 1
    assert [list(job.sizes) for job in jobs] == [[3], [11, 3]]
    assert labels(jobs[0].finish(outputs[:1]).body) == ["few"]  # type: ignore[arg-type]  # bytes
    assert labels(jobs[1].finish(outputs[1:]).body) == ["many", "few"]  # type: ignore[arg-type]  # bytes


def test_shorter_inputs_are_padded_and_masked(checkpoint: Checkpoint, backend: FakeBackend):
    handler = make_handler(replace(checkpoint, pad_token_id=9), backend)

    handler.predict({"strings": ["Ada", "Ada met Bob"]})

    [feed] = backend.feeds
    assert feed["input_ids"].tolist() == [[2, 4, 3, 9, 9], [2, 4, 7, 8, 3]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert not feed["token_type_ids"].any()


def test_a_graph_is_fed_what_it_asks_for_only(checkpoint: Checkpoint):
    backend = FakeBackend(count, input_names=("input_ids", "attention_mask"))

    make_handler(checkpoint, backend).predict({"strings": ["Ada"]})

    assert set(backend.feeds[0]) == {"input_ids", "attention_mask"}


def test_predict_alone_runs_like_lengths_together_and_keeps_the_order(
    handler: TaskHandler, backend: FakeBackend
):
    texts = ["Ada " * 20 if number % 2 else "Bob" for number in range(40)]

    found: Any = handler.predict({"strings": texts})

    limit = handler.batch_limit
    shapes = [feed["input_ids"].shape for feed in backend.feeds]
    assert [label.label for label in found] == ["few", "many"] * 20
    assert sum(count for count, _ in shapes) == 40
    assert max(count for count, _ in shapes) == limit.inputs
    assert all(count * width <= limit.tokens for count, width in shapes)
    assert [width for _, width in shapes] == sorted(width for _, width in shapes)
    assert shapes[0][1] == 3, "the shortest are not padded"


def test_a_batch_holds_no_more_tokens_than_its_budget(checkpoint: Checkpoint, backend: FakeBackend):
    handler = make_handler(replace(checkpoint, max_tokens=10_000), backend)
    half, special = handler.batch_limit.tokens // 2, 2
    sizes = [half, half - 3, handler.batch_limit.tokens + 5]

    handler.predict({"strings": ["Ada " * (size - special) for size in sizes]})

    assert [feed["input_ids"].shape for feed in backend.feeds] == [(2, half), (1, sizes[2])]


def test_as_many_runs_at_once_as_the_backend_can(checkpoint: Checkpoint):
    handler = make_handler(checkpoint, FakeBackend(count, runs=3))

    assert handler.batch_limit.runs == 3


# --- Loading --------------------------------------------------------------------


@pytest.mark.parametrize("task", Task)
def test_every_task_is_warmed_before_the_first_request(tmp_path: Path, task: Task):
    backend = FakeBackend(
        lambda ids: [np.zeros((*ids.shape, 2)), np.zeros((*ids.shape, 2))][
            : 2 if task is Task.QUESTION_ANSWERING else 1
        ]
    )
    checkpoint = make_checkpoint(tmp_path, task)

    TaskHandler(checkpoint, make_task(checkpoint, strategy=AggregationStrategy.MAX), backend)

    assert len(backend.feeds) == 1


def test_a_model_with_other_labels_than_its_config_is_refused(
    checkpoint: Checkpoint, backend: FakeBackend
):
    with pytest.raises(PortsideError, match=r"scores 2 labels.*names 3"):
        make_handler(replace(checkpoint, labels=("a", "b", "c")), backend)


def test_a_model_that_wants_more_than_text_is_refused(checkpoint: Checkpoint):
    with pytest.raises(PortsideError, match="`pixel_values`"):
        make_handler(checkpoint, FakeBackend(count, input_names=("input_ids", "pixel_values")))


def test_a_broken_tokenizer_is_refused(checkpoint: Checkpoint, backend: FakeBackend):
    checkpoint.tokenizer_path.write_text("{}")

    with pytest.raises(PortsideError, match=r"cannot load `.*tokenizer\.json`"):
        make_handler(checkpoint, backend)


def test_a_text_without_a_single_token_is_the_callers_error(
    checkpoint: Checkpoint, backend: FakeBackend
):
    save_tokenizer(checkpoint.tokenizer_path, special=None)
    handler = make_handler(checkpoint, backend)

    with pytest.raises(InvalidBodyError, match="at least one token"):
        handler.predict({"strings": ["Ada", ""]})
