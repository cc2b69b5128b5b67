"""Texts to entities, with a model that knows names by heart; above all long texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.error import InvalidBodyError
from portside.serving.handlers.task import make_task
from portside.serving.tasks.field import Field
from portside.serving.tasks.strategy import AggregationStrategy
from tests.unit.serving.task_fakes import WORDS, FakeBackend, make_checkpoint, make_handler

LABELS = ("O", "B-PER", "I-PER")
LABEL_OF = {"Ada": 1, "Love": 2, "##lace": 2, "Bob": 1}
KNOWN = np.array([LABEL_OF.get(word, 0) for word in WORDS])
SPECIAL = 2
"""Special tokens around a text."""


def know_names(ids: Any) -> list[Any]:
    return [9 * np.eye(len(LABELS))[KNOWN[ids]]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder: Path = tmp_path_factory.mktemp("model")
    return make_checkpoint(folder, Task.TOKEN_CLASSIFICATION, labels=LABELS, max_tokens=512)


def predict(checkpoint: Checkpoint, body: object, *, backend: FakeBackend | None = None) -> Any:
    return make_handler(checkpoint, backend or FakeBackend(know_names)).predict(body)


def words(answer: Any) -> list[str]:
    return [entity.word for entity in answer]


def test_strings_get_a_list_each_in_their_order(checkpoint: Checkpoint):
    answer = predict(checkpoint, {"strings": ["Bob met Ada Lovelace.", "", "Ada"]})

    assert [words(entities) for entities in answer] == [["Bob", "Ada Lovelace"], [], ["Ada"]]
    assert (answer[0][1].start, answer[0][1].end) == (8, 20)


def test_one_input_gets_its_list_bare(checkpoint: Checkpoint):
    assert words(predict(checkpoint, {"inputs": "Ada met Bob"})) == ["Ada", "Bob"]
    assert words(predict(checkpoint, "Ada met Bob")) == ["Ada", "Bob"]


def test_no_texts_no_answers(checkpoint: Checkpoint):
    assert predict(checkpoint, {"strings": []}) == []


def test_a_text_without_tokens_is_not_run(checkpoint: Checkpoint):
    backend = FakeBackend(know_names)

    assert predict(checkpoint, {"strings": ["", " "]}, backend=backend) == [[], []]
    assert not backend.feeds


def test_the_strategy_of_the_request_wins(checkpoint: Checkpoint):
    parameters = {"aggregation_strategy": "none"}

    answer = predict(checkpoint, {"inputs": "Lovelace", "parameters": parameters})

    assert words(answer) == ["Love", "##lace"]


def test_labels_to_ignore(checkpoint: Checkpoint):
    parameters = {"aggregation_strategy": "simple", "ignore_labels": ["PER"]}

    [answer] = predict(checkpoint, {"inputs": ["Ada met Bob"], "parameters": parameters})

    assert [(entity.entity_group, entity.word) for entity in answer] == [("O", "met")]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"aggregation_strategy": "best"}, "as `parameters.aggregation_strategy`, got `best`"),
        ({"aggregation_strategy": ["max"]}, "expected one of `none`, `simple`"),
        ({"stride": 383}, "from 0 to 382 as `parameters.stride`, got `383`"),
        ({"ignore_labels": "O"}, "expected a list as `parameters.ignore_labels`"),
        ({"ignore_labels": ["O", 1]}, "expected a string as `parameters.ignore_labels[1]`"),
        ({"top_k": 1}, "nothing but `aggregation_strategy`, `ignore_labels`, `stride`"),
    ],
)
def test_wrong_parameters_are_refused(
    checkpoint: Checkpoint, parameters: dict[str, object], message: str
):
    with pytest.raises(InvalidBodyError) as caught:
        predict(checkpoint, {"inputs": "Ada", "parameters": parameters})

    assert message in caught.value.message


def test_unknown_words_are_written_as_in_the_text(checkpoint: Checkpoint):
    backend = FakeBackend(lambda ids: [np.broadcast_to([0, 1, 0], (*ids.shape, 3))])

    assert words(predict(checkpoint, {"inputs": "Zoë met"}, backend=backend)) == ["Zoë", "met"]


# --- Long texts -----------------------------------------------------------------


def test_an_entity_across_a_cut_stays_whole(checkpoint: Checkpoint):
    backend = FakeBackend(know_names)
    text = "met Bob . met Ada Lovelace met Bob"
    body = {"inputs": text, "parameters": {"stride": 0}}  # a cut between Love and ##lace

    answer = predict(replace(checkpoint, max_tokens=8), body, backend=backend)

    assert backend.feeds[0]["input_ids"].shape == (2, 8)
    assert words(answer) == ["Bob", "Ada Lovelace", "Bob"]
    assert [text[entity.start : entity.end] for entity in answer] == words(answer)


@given(
    text=st.lists(st.sampled_from(["Ada", "Lovelace", "Love", "met", "Bob", ".", "x"])).map(
        " ".join
    ),
    room=st.integers(1, 12),
    share=st.floats(0, 0.75),
    strategy=st.sampled_from(["none", "simple", "first", "average", "max"]),
)
def test_windows_lose_nothing_and_count_nothing_twice(
    checkpoint: Checkpoint, text: str, room: int, share: float, strategy: str
):
    """The model judges each token by itself: so any windows have to give what a single one does."""
    parameters = {"aggregation_strategy": strategy}
    stride = int(room * share) if int(room * share) <= room * 3 // 4 else 0
    in_windows = {"inputs": text, "parameters": {**parameters, "stride": stride}}
    narrow = replace(checkpoint, max_tokens=room + SPECIAL)

    answer = predict(narrow, in_windows)

    assert answer == predict(checkpoint, {"inputs": text, "parameters": parameters})


@pytest.mark.parametrize("stride", [None, 0, 1, 2, 3, 4, 5, 6])
def test_a_token_is_judged_in_the_window_where_it_has_the_most_context(
    checkpoint: Checkpoint, stride: int | None
):
    """The model labels each token with the number of the window that it sees it in."""
    room, length = 8, 41
    labels = tuple(f"window-{number}" for number in range(length))
    narrow = replace(checkpoint, max_tokens=room + SPECIAL, labels=labels)
    parameters = {"aggregation_strategy": "none", "stride": stride}
    body = {"inputs": " ".join(["Ada"] * length), "parameters": parameters}

    work = make_task(narrow, strategy=AggregationStrategy.NONE).open(Field(value=body))
    answer = work.answer(
        [
            [np.tile(np.eye(length, dtype=np.float32)[number], (len(window), 1))]
            for number, window in enumerate(work.inputs)
        ]
    )

    step = room - (room // 4 if stride is None else stride)
    windows = [range(n * step, n * step + len(w) - SPECIAL) for n, w in enumerate(work.inputs)]
    assert windows[-1].stop == length
    assert [entity.index - 1 for entity in answer] == list(range(length))

    def context(place: int, window: range) -> int:
        """On the side where there is less; the ends of the text are no cuts."""
        left = place - window.start if window.start > 0 else length
        right = window.stop - 1 - place if window.stop < length else length
        return min(left, right)

    for place, entity in enumerate(answer):
        judge = windows[int(entity.entity.removeprefix("window-"))]
        assert place in judge
        most = max(context(place, window) for window in windows if place in window)
        assert context(place, judge) == most


def test_tokens_are_numbered_as_if_read_in_one_piece(checkpoint: Checkpoint):
    parameters = {"aggregation_strategy": "none"}
    body = {"inputs": "Ada met Bob met Ada met Bob", "parameters": parameters}

    answer = predict(replace(checkpoint, max_tokens=5), body)

    assert [(entity.word, entity.index) for entity in answer] == [
        ("Ada", 1),
        ("Bob", 3),
        ("Ada", 5),
        ("Bob", 7),
    ]
