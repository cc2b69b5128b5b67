"""Answers to bytes; what a handler puts into headers cannot forge others."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serving.error import (
    InvalidBodyError,
    MethodNotAllowedError,
    OverloadedError,
    PredictionFailedError,
)
from portside.serving.response import Response, error_response, head_of


def lines(response: Response, *, keeps_alive: bool = True) -> list[bytes]:
    head = head_of(response, b"content-length: 0\r\n", keeps_alive)
    assert head.endswith(b"\r\n\r\n")
    return [line for line in head.split(b"\r\n") if line and not line.startswith(b"date: ")]


def test_a_head_is_status_type_framing_and_headers():
    response = Response(
        status=200,
        content_type="text/plain; charset=utf-8",
        headers=[("Set-Cookie", "a"), ("Set-Cookie", "b")],
    )

    assert lines(response, keeps_alive=False) == [
        b"HTTP/1.1 200 OK",
        b"content-type: text/plain; charset=utf-8",
        b"content-length: 0",
        b"Set-Cookie: a",
        b"Set-Cookie: b",
        b"connection: close",
    ]


def test_a_status_without_a_name_has_a_line_too():
    assert lines(Response(status=799))[0] == b"HTTP/1.1 799 "


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "a\r\nSet-Cookie: b"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("x", "ā"),
        ("x y", "a"),
        ("x\r\ny", "a"),
        ("x:y", "a"),
        ("", "a"),
        ("é", "a"),
    ],
)
def test_headers_that_could_forge_others_are_refused(name: str, value: str):
    with pytest.raises(PredictionFailedError, match="cannot send the header"):
        lines(Response(status=200, headers=[(name, value)]))


def test_a_content_type_cannot_forge_headers():
    with pytest.raises(PredictionFailedError):
        lines(Response(status=200, content_type="a/b\r\nX: y"))


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Connection", "Content-Type", "Date"]
)
def test_what_frames_the_answer_is_not_the_handlers_to_say(name: str):
    head = lines(Response(status=200, headers=[(name, "7")]))

    assert head == [b"HTTP/1.1 200 OK", b"content-length: 0"]


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_header_is_one_line_or_refused(name: str, value: str):
    try:
        head = lines(Response(status=200, headers=[(name, value)]))
    except PredictionFailedError:
        return
    assert len(head) <= 3


# --- Errors ---------------------------------------------------------------------


def test_an_error_is_json_with_a_code_and_a_message():
    response = error_response(InvalidBodyError("expected a list"))

    assert (response.status, response.content_type) == (400, "application/json")
    assert json.loads(response.body) == {
        "error": {"code": "InvalidBody", "message": "expected a list"}
    }


def test_an_error_says_when_to_come_back_and_what_is_allowed():
    overloaded = error_response(OverloadedError("full", retry_after_s=7))
    not_allowed = error_response(MethodNotAllowedError("no", allow="GET, POST"))

    assert overloaded.headers == [("retry-after", "7")]
    assert not_allowed.headers == [("allow", "GET, POST")]


def test_a_message_that_quotes_half_a_character_can_be_sent():
    response = error_response(InvalidBodyError("no field `\ud800`"))

    assert json.loads(response.body)["error"]["message"] == "no field `?`"
