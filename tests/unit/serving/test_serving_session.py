"""Sticky sessions: begun, used, closed, over; in virtual time."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest

from portside.serving.error import InvalidBodyError, InvalidRequestError, OverloadedError
from portside.serving.response import Response
from portside.serving.session import Session, SessionTable, refuse_session

if TYPE_CHECKING:
    from collections.abc import Callable

NEW = "NEW_SESSION"
NEW_BODY = b'{"requestType": "NEW_SESSION"}'
CLOSE_BODY = b'{"requestType": "CLOSE"}'

# botocore's shape of `NewSessionId`.
NEW_SESSION_HEADER = re.compile(
    r"[a-zA-Z0-9](-*[a-zA-Z0-9])*;\sExpires=\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0  # 2023-11-14T22:13:20Z

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., SessionTable]:
    def table(**options: Any) -> SessionTable:
        ids = (f"id-{number}" for number in itertools.count(1))
        return SessionTable(clock=clock, new_id=lambda: next(ids), **options)

    return table


@pytest.fixture
def table(make: Callable[..., SessionTable]) -> SessionTable:
    return make()


def begin(table: SessionTable) -> str:
    """The id of a new session."""
    answer = table.receive(NEW, NEW_BODY)
    assert isinstance(answer, Response)
    return dict(answer.headers)["X-Amzn-SageMaker-New-Session-Id"].partition(";")[0]


def test_a_new_session_is_answered_with_its_id_and_its_end(table: SessionTable):
    answer = table.receive(NEW, NEW_BODY)
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert answer.body == b"Session id-1 created"
    assert answer.headers == (
        ("X-Amzn-SageMaker-New-Session-Id", "id-1; Expires=2023-11-14T22:33:20Z"),
    )


def test_ids_are_what_the_platform_takes_and_differ():
    table = SessionTable()
    values = []
    for _ in range(3):
        answer = table.receive(NEW, NEW_BODY)
        assert isinstance(answer, Response)
        values += [value for _, value in answer.headers]
    assert all(NEW_SESSION_HEADER.fullmatch(value) for value in values)
    assert len({value.partition(";")[0] for value in values}) == 3


def test_what_a_handler_keeps_is_there_at_the_next_request_and_nobody_elses(table: SessionTable):
    first, second = begin(table), begin(table)
    session = table.receive(first, b"[1, 2]")
    assert isinstance(session, Session)
    assert session.id == first
    session.state["turns"] = 1

    again, other = table.receive(first, b"\xff not JSON"), table.receive(second, b"")
    assert isinstance(again, Session)
    assert isinstance(other, Session)
    assert again.state == {"turns": 1}
    assert other.state == {}


def test_a_closed_session_is_gone(table: SessionTable):
    session_id = begin(table)
    answer = table.receive(session_id, CLOSE_BODY)
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert answer.headers == (("X-Amzn-SageMaker-Closed-Session-Id", session_id),)
    for body in (b"[1]", CLOSE_BODY):
        with pytest.raises(InvalidRequestError, match=session_id):
            table.receive(session_id, body)
    assert len(table) == 0


def test_a_session_ends_when_it_was_said_to(make: Callable[..., SessionTable], clock: Clock):
    table = make(expiration_s=60)
    session_id = begin(table)
    clock.now += 59
    assert isinstance(table.receive(session_id, b""), Session)  # which does not prolong it
    clock.now += 1
    with pytest.raises(InvalidRequestError, match=session_id):
        table.receive(session_id, b"")


def test_sweeping_forgets_what_is_over_and_nothing_else(
    make: Callable[..., SessionTable], clock: Clock
):
    table = make(expiration_s=60)
    begin(table)
    clock.now += 30
    younger = begin(table)
    clock.now += 30
    assert len(table) == 2
    table.sweep()
    assert len(table) == 1
    assert isinstance(table.receive(younger, b""), Session)


def test_there_is_a_limit_until_the_oldest_is_over(make: Callable[..., SessionTable], clock: Clock):
    table = make(expiration_s=60, max_sessions=2)
    begin(table)
    begin(table)
    clock.now += 50
    with pytest.raises(OverloadedError) as refused:
        begin(table)
    assert refused.value.retry_after_s == 11
    clock.now += 10
    begin(table)


def test_the_header_does_not_matter_where_a_new_session_is_asked_for(table: SessionTable):
    # As in AWS's library.
    assert isinstance(table.receive("whatever", NEW_BODY), Response)


@pytest.mark.parametrize("session_id", ["unknown", "", "NEW_SESSIONS"])
@pytest.mark.parametrize("body", [b"{}", CLOSE_BODY])
def test_an_unknown_session_is_refused(table: SessionTable, session_id: str, body: bytes):
    begin(table)
    with pytest.raises(InvalidRequestError):
        table.receive(session_id, body)


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"inputs": "hello"}', b'"NEW_SESSION"'])
def test_a_new_session_needs_the_body_for_it(table: SessionTable, body: bytes):
    with pytest.raises(InvalidBodyError, match=r"requestType.*NEW_SESSION"):
        table.receive(NEW, body)
    assert len(table) == 0


def test_there_is_no_new_session_to_close(table: SessionTable):
    with pytest.raises(InvalidRequestError):
        table.receive(NEW, CLOSE_BODY)


@pytest.mark.parametrize("value", [b'"close"', b"1", b'["CLOSE"]', b"{}"])
def test_other_types_of_request_are_refused(table: SessionTable, value: bytes):
    session_id = begin(table)
    with pytest.raises(InvalidBodyError, match="requestType"):
        table.receive(session_id, b'{"requestType": %b}' % value)
    assert isinstance(table.receive(session_id, b""), Session)


def test_long_bodies_are_the_handlers_whatever_they_hold(table: SessionTable):
    session_id = begin(table)
    body = b'{"requestType": "CLOSE", "text": "%b"}' % (b"x" * 300)
    assert isinstance(table.receive(session_id, body), Session)


def test_where_there_are_no_sessions_the_words_are_those_of_awss_library():
    error = refuse_session()
    assert error.status == 400
    assert "stateful sessions not enabled, X-Amzn-SageMaker-Session-Id header" in error.message
    assert "SAGEMAKER_ENABLE_STATEFUL_SESSIONS" in error.message
