"""The two bodies of text tasks, and everything else."""

from __future__ import annotations

from typing import Any

import pytest

from portside.serving.error import InvalidBodyError
from portside.serving.tasks.request import TextRequest, text_request


@pytest.mark.parametrize(
    ("body", "texts", "is_single", "parameters"),
    [
        ({"strings": ["a", "b"]}, ["a", "b"], False, {}),
        ({"strings": []}, [], False, {}),
        ({"inputs": "a"}, ["a"], True, {}),
        ({"inputs": ["a"]}, ["a"], False, {}),
        ({"inputs": "a", "parameters": {"x": 1}}, ["a"], True, {"x": 1}),
        ({"inputs": ["a", "b"], "parameters": None}, ["a", "b"], False, {}),
    ],
)
def test_the_bodies_that_are_understood(
    body: object, texts: list[str], *, is_single: bool, parameters: dict[str, Any]
):
    expected = TextRequest(texts=texts, is_single=is_single, parameters=parameters)

    assert text_request(body) == expected


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (None, "`null`"),
        ("text", "a string"),
        (["text"], "a list"),
        (True, "a boolean"),
        (1.5, "a number"),
        ({}, "an object"),
        ({"string": ["a"]}, "a list as `string`"),
        ({"strings": "a"}, "a string as `strings`"),
        ({"strings": ["a", 3]}, "a number as `strings[1]`"),
        ({"strings": [["a"]]}, "a list as `strings[0]`"),
        ({"inputs": [None]}, "`null` as `inputs[0]`"),
        ({"inputs": {"text": "a"}}, "an object as `inputs`"),
        ({"inputs": "a", "parameters": []}, "a list as `parameters`"),
        ({"inputs": "a", "strings": []}, "an object with the keys `inputs`, `strings`"),
        ({"strings": [], "parameters": {}}, "an object with the keys `strings`, `parameters`"),
    ],
)
def test_any_other_body_is_refused_with_what_was_expected(body: object, got: str):
    with pytest.raises(InvalidBodyError) as caught:
        text_request(body)

    assert caught.value.message.startswith('expected `{"strings": ["Ada Lovelace lived in')
    assert '`{"inputs": ' in caught.value.message
    assert caught.value.message.endswith(f", got {got}")
