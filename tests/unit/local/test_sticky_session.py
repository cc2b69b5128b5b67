"""What instances say of sessions, in either spelling and in none."""

from __future__ import annotations

import pytest

from portside.local.invocation.sticky_session import Opened, read_closed, read_opened

NEW, OLD = "X-Amzn-SageMaker-New-Session-Id", "X-Amzn-SageMaker-Session-Id"
OPENED = Opened(session_id="a-1", expires_ms=2_000_000_000_000)


@pytest.mark.parametrize("header", [NEW, OLD])
@pytest.mark.parametrize("space", ["", " ", "  "])
def test_either_header_opens_a_session(header: str, space: str) -> None:
    assert read_opened({header: f"a-1;{space}Expires=2033-05-18T03:33:20Z"}) == OPENED


def test_the_caller_gets_the_form_of_the_model() -> None:
    assert OPENED.header == "a-1; Expires=2033-05-18T03:33:20Z"


@pytest.mark.parametrize(
    "value",
    [
        "a-1",
        "a-1; Expires=tomorrow",
        "a-1; Expires=2033-13-18T03:33:20Z",
        "a-; Expires=2033-05-18T03:33:20Z",
        "a b; Expires=2033-05-18T03:33:20Z",
        "",
    ],
)
def test_anything_else_opens_none(value: str) -> None:
    assert read_opened({NEW: value}) is None


def test_the_other_header_is_read_where_one_makes_no_sense() -> None:
    headers = {NEW: "nonsense", OLD: "a-1; Expires=2033-05-18T03:33:20Z"}

    assert read_opened(headers) == OPENED


@pytest.mark.parametrize(("value", "closed"), [("a-1", "a-1"), ("a b", None), ("é", None)])
def test_closing(value: str, closed: str | None) -> None:
    assert read_closed({"X-Amzn-SageMaker-Closed-Session-Id": value}) == closed
    assert read_closed({}) is None
