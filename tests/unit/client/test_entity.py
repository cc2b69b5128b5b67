"""Entities shown in their text."""

from __future__ import annotations

import json

import pytest

from portside.client.entity import Span, cut, marked

TEXT = "Ada lives in London."
ADA = {"entity_group": "PER", "score": 0.9, "word": "ada", "start": 0, "end": 3}
LONDON = {"entity_group": "LOC", "score": 0.9, "word": "london", "start": 13, "end": 19}


SPANS = [
    Span(text="Ada", label="PER"),
    Span(text=" lives in "),
    Span(text="London", label="LOC"),
    Span(text="."),
]


def test_a_text_is_cut_where_entities_stand() -> None:
    assert cut(TEXT, [LONDON, ADA]) == SPANS
    assert cut("London", [{**LONDON, "start": 0, "end": 6}]) == [Span(text="London", label="LOC")]
    assert cut("", []) == []


@pytest.mark.parametrize("key", ["strings", "inputs"])
def test_a_list_of_texts(key: str) -> None:
    request, answer = {key: [TEXT, "none"]}, [[ADA, LONDON], []]

    found = marked(json.dumps(request).encode(), json.dumps(answer).encode())

    assert found == [SPANS, [Span(text="none")]]


def test_one_text() -> None:
    found = marked(json.dumps({"inputs": TEXT}).encode(), json.dumps([ADA, LONDON]).encode())

    assert found == [SPANS]


@pytest.mark.parametrize(
    ("request_body", "answer"),
    [
        (b"not json", b"[]"),
        (b'{"strings": ["a"]}', b"not json"),
        (b'{"strings": ["a"]}', b'{"label": 1}'),
        (b'{"strings": ["a"]}', b'[[{"label": "x"}]]'),
        (b'{"strings": ["a"]}', b'[[{"entity_group": "X", "start": null, "end": null}]]'),
        (b'{"strings": ["a"]}', b'[[{"entity_group": "X", "start": "0", "end": "1"}]]'),
        (b'{"strings": ["a", "b"]}', b"[[]]"),
        (b'{"strings": [1]}', b"[[]]"),
        (b"[]", b"[]"),
    ],
)
def test_anything_else_is_not_shown(request_body: bytes, answer: bytes) -> None:
    assert marked(request_body, answer) == []
