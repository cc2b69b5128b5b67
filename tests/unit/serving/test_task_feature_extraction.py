"""Texts to vectors, with a vector by hand for each token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.error import InvalidBodyError
from portside.serving.sentence_model import Pooling
from tests.unit.serving.task_fakes import IDS, FakeBackend, make_checkpoint, make_handler

VECTORS = np.zeros((len(IDS), 2))
VECTORS[IDS["[CLS]"]] = 1, 1
VECTORS[IDS["Ada"]] = 3, 0
VECTORS[IDS["Bob"]] = 2, -3
VECTORS[IDS["[PAD]"]] = 1000, 1000


def predict(checkpoint: Checkpoint, inputs: object, **parameters: Any) -> Any:
    backend = FakeBackend(lambda ids: [VECTORS[ids]])
    body = {"inputs": inputs, "parameters": parameters}
    return make_handler(checkpoint, backend).predict(body)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return make_checkpoint(tmp_path, Task.FEATURE_EXTRACTION)


def test_without_pooling_a_vector_for_each_token_and_none_for_padding(checkpoint: Checkpoint):
    short, long = predict(checkpoint, ["Ada", "Ada Bob"])

    assert short.tolist() == [[[1, 1], [3, 0], [0, 0]]]
    assert long.tolist() == [[[1, 1], [3, 0], [2, -3], [0, 0]]]


@pytest.mark.parametrize(
    ("pooling", "expected"), [("mean", [1.5, -0.5]), ("cls", [1, 1]), ("max", [3, 1])]
)
def test_pooling_leaves_padding_out(checkpoint: Checkpoint, pooling: str, expected: list[float]):
    answer, _ = predict(checkpoint, ["Ada Bob", "Ada " * 9], pooling=pooling)

    assert answer.tolist() == expected


def test_the_checkpoint_says_what_is_usual(tmp_path: Path):
    checkpoint = make_checkpoint(
        tmp_path, Task.FEATURE_EXTRACTION, pooling=Pooling.CLS, normalize=True
    )

    assert predict(checkpoint, "Ada").tolist() == pytest.approx([0.5**0.5, 0.5**0.5])
    assert predict(checkpoint, "Ada", normalize=False).tolist() == [1, 1]
    largest = predict(checkpoint, "Ada", pooling="max")
    assert largest.tolist() == pytest.approx([0.9487, 0.3162], abs=1e-4)
    assert predict(checkpoint, "Ada", pooling="none").tolist() == [[[1, 1], [3, 0], [0, 0]]]


def test_a_vector_of_nothing_is_left_so(checkpoint: Checkpoint):
    answer = predict(checkpoint, "Ada", pooling="none", normalize=True)

    np.testing.assert_allclose(answer, [[[0.5**0.5, 0.5**0.5], [1, 0], [0, 0]]], atol=1e-6)


def test_long_texts_are_cut_short_or_refused(checkpoint: Checkpoint):
    assert predict(checkpoint, "Ada " * 99).shape == (1, 64, 2)
    with pytest.raises(InvalidBodyError, match="at most 64 tokens as `inputs`, got one of 101"):
        predict(checkpoint, "Ada " * 99, truncation=False)


def test_a_pooling_that_there_is_not(checkpoint: Checkpoint):
    with pytest.raises(InvalidBodyError, match="one of `mean`, `cls`, `max`, `none`"):
        predict(checkpoint, "Ada", pooling="sum")
