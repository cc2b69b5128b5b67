"""Entities shown in their text."""

from __future__ import annotations

import json

import pytest

from portside.cli.entity import highlight, marked

TEXT = "Ada lives in London."
ADA = {"entity_group": "PER", "score": 0.9, "word": "ada", "start": 0, "end": 3}
LONDON = {"entity_group": "LOC", "score": 0.9, "word": "london", "start": 13, "end": 19}


def test_entities_are_marked_where_they_stand() -> None:
    assert highlight(TEXT, [LONDON, ADA]).plain == "[Ada](PER) lives in [London](LOC)."


@pytest.mark.parametrize(
    ("request_body", "answer"),
    [
        ({"strings": [TEXT, TEXT]}, [[ADA], []]),
        ({"inputs": [TEXT, TEXT]}, [[ADA], []]),
    ],
)
def test_a_list_of_texts(request_body: object, answer: object) -> None:
    shown = marked(json.dumps(request_body).encode(), json.dumps(answer).encode())

    assert [text.plain for text in shown] == ["[Ada](PER) lives in London.", TEXT]


def test_one_text() -> None:
    shown = marked(json.dumps({"inputs": TEXT}).encode(), json.dumps([ADA]).encode())

    assert [text.plain for text in shown] == ["[Ada](PER) lives in London."]


@pytest.mark.parametrize(
    ("request_body", "answer"),
    [
        (b"not json", b"[]"),
        (b'{"strings": ["a"]}', b"not json"),
        (b'{"strings": ["a"]}', b'{"label": 1}'),
        (b'{"strings": ["a"]}', b'[[{"label": "x"}]]'),
        (b'{"strings": ["a", "b"]}', b"[[]]"),
        (b'{"strings": [1]}', b"[[]]"),
        (b"[]", b"[]"),
    ],
)
def test_anything_else_is_not_shown(request_body: bytes, answer: bytes) -> None:
    assert marked(request_body, answer) == []
