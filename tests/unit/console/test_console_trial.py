"""A request that is tried, and how its answer is shown."""

from __future__ import annotations

import json

import pytest

from portside.console.form import read_form, read_trial
from portside.console.trial import (
    SHOWN_CHARACTERS,
    Answer,
    Format,
    MarkedSpan,
    Trial,
    view_answer,
)
from portside.errors import UsageError

TEXT = "Ada in London"
ENTITIES = [
    {"entity_group": "PERSON", "start": 0, "end": 3},
    {"entity_group": "CITY", "start": 7, "end": 13},
]
DEEP = b"[" * 100_000


def make_answer(body: bytes, *, status: int = 200, content_type: str = "") -> Answer:
    return Answer(status=status, body=body, took_ms=12.4, content_type=content_type)


@pytest.mark.parametrize(
    ("style", "body", "content_type"),
    [
        (Format.STRINGS, {"strings": [TEXT]}, "application/json"),
        (Format.INPUTS, {"inputs": TEXT}, "application/json"),
        (Format.PLAIN, None, "text/plain"),
    ],
)
def test_texts_are_sent_in_three_forms(style: Format, body: object, content_type: str) -> None:
    trial = Trial.of_text(TEXT, style)
    shown = view_answer(trial, make_answer(json.dumps([ENTITIES]).encode()))

    assert (trial.body == TEXT.encode()) if body is None else (json.loads(trial.body) == body)
    assert trial.content_type == content_type
    assert shown.texts == [
        [
            MarkedSpan(text="Ada", label="PERSON", kind=0),
            MarkedSpan(text=" in "),
            MarkedSpan(text="London", label="CITY", kind=1),
        ]
    ]


def test_entities_are_marked_in_any_body_of_texts() -> None:
    body = json.dumps({"inputs": [TEXT, "x"]}).encode()
    trial = Trial(body=body, content_type="application/json")
    shown = view_answer(trial, make_answer(json.dumps([ENTITIES, []]).encode()))

    assert len(shown.texts) == 2


def test_json_is_indented_and_other_text_as_it_is() -> None:
    trial = Trial(body=b"", content_type="text/csv")

    assert view_answer(trial, make_answer('{"a": "ü"}'.encode())).body == '{\n  "a": "ü"\n}'
    assert view_answer(trial, make_answer(b"1,2")).body == "1,2"


def test_bytes_are_counted() -> None:
    trial = Trial(body=b"", content_type="text/csv")
    answer = make_answer(b"\xff" * 2000, content_type="image/png")

    assert view_answer(trial, answer).body == "2,000 bytes of image/png"


def test_long_answers_are_cut() -> None:
    trial = Trial(body=b"", content_type="text/csv")
    shown = view_answer(trial, make_answer(b"x" * (SHOWN_CHARACTERS + 1500)))

    assert shown.body.endswith("x\n… 1,500 characters more")


def test_answers_that_are_nested_without_end() -> None:
    trial = Trial.of_text(TEXT, Format.STRINGS)

    assert view_answer(trial, make_answer(DEEP)).body == DEEP.decode()
    assert view_answer(trial, make_answer(DEEP, status=500)).is_error


def test_facts_that_are_not_told_are_left_out() -> None:
    trial = Trial(body=b"", content_type="text/csv")

    assert view_answer(trial, make_answer(b"1")).facts == [("Latency", "12 ms")]


def test_the_models_own_message() -> None:
    trial = Trial(body=b"", content_type="text/csv")
    body = json.dumps({"error": {"message": "expected a list"}}).encode()
    shown = view_answer(trial, make_answer(body, status=400))

    assert (shown.headline, shown.message, shown.body) == (
        "The model answered 400",
        "expected a list",
        "",
    )


def test_an_error_without_a_message_is_shown_as_it_came() -> None:
    trial = Trial(body=b"", content_type="text/csv")
    shown = view_answer(trial, make_answer(b"out of luck", status=500))

    assert (shown.is_error, shown.message, shown.body) == (True, "", "out of luck")


def test_no_status_is_no_answer_in_time() -> None:
    trial = Trial(body=b"", content_type="text/csv")

    assert view_answer(trial, make_answer(b"", status=0)).headline == "No answer in time"


def test_forms_are_read() -> None:
    form = read_form(b"kind=body&content_type=text%2Fcsv&body=1%0D%0A2&variant=&accept=+")

    assert read_trial(form) == Trial(body=b"1\n2", content_type="text/csv")


def test_a_text_form_is_read() -> None:
    form = read_form("text=Zoë&format=inputs&variant=blue".encode())

    assert read_trial(form) == Trial.of_text("Zoë", Format.INPUTS, variant="blue")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"kind": "body"}, "without a content type"),
        ({"kind": "body", "content_type": "a\nb"}, r"content type `a\\nb`"),
        ({"kind": "body", "content_type": "a", "accept": "ä"}, r"accept `\\xe4`"),
        ({"text": "x", "variant": "\x00"}, "variant"),
        ({"text": "x", "format": "xml"}, "as `xml`"),
    ],
)
def test_what_fits_into_no_request_is_refused(form: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_trial(form)
