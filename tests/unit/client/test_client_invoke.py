"""One prediction: what is sent, measured and refused, and by whom."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from portside import contract
from portside.aws.runtime import Answer, Request
from portside.aws.session import Session
from portside.client.invoke import Exchange, Timings, check_payload, invoke, open_exchange
from portside.errors import PortsideError, RemoteError, UsageError
from tests.unit.client.client_stubs import ADDRESS, ASYNC, Stubs, stubbed

SERVERLESS = [
    {
        "VariantName": "AllTraffic",
        "ModelName": "ner-1",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }
]
REQUEST = Request(body=b"{}", content_type="application/json")


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(ADDRESS)


@pytest.fixture
def stubs(session: Session) -> Iterator[Stubs]:
    with stubbed(session) as made:
        yield made
        made.assert_all_asked()


def test_the_answer_and_who_gave_it(stubs: Stubs) -> None:
    stubs.answer(b"[1]")

    found = invoke(stubs.session, "ner", body=b"{}")

    assert (found.body, found.content_type, found.variant) == (
        b"[1]",
        "application/json",
        "AllTraffic",
    )


def test_what_is_given_is_sent_and_nothing_made_up(stubs: Stubs) -> None:
    full = dataclasses.replace(REQUEST, accept="text/csv", variant="blue", session_id="NEW_SESSION")

    assert REQUEST.parameters == {"Body": b"{}", "ContentType": "application/json"}
    assert full.parameters == {
        **REQUEST.parameters,
        "Accept": "text/csv",
        "TargetVariant": "blue",
        "SessionId": "NEW_SESSION",
    }
    stubs.answer(b"", NewSessionId="abc; Expires=2030-01-01T00:00:00Z")
    exchange = open_exchange(stubs.session, "ner", request=full)
    assert exchange.answer.new_session_id.startswith("abc;")


def test_each_wait_is_measured_where_it_ends() -> None:
    times = iter([10.25, 10.5, 11.0])
    answer = Answer(chunks=iter([b"ab", b"c"]), content_type="", variant="")
    exchange = Exchange(answer=answer, sent_bytes=7, began_s=10.0, clock=lambda: next(times))

    assert list(exchange.chunks()) == [b"ab", b"c"]
    assert exchange.timings == Timings(
        first_byte_ms=250.0, whole_ms=1000.0, sent_bytes=7, received_bytes=3
    )


def test_the_first_byte_of_nothing_is_its_end() -> None:
    answer = Answer(chunks=iter([]), content_type="", variant="")
    exchange = Exchange(answer=answer, sent_bytes=0, began_s=1.0, clock=lambda: 1.5)

    assert list(exchange.chunks()) == []
    assert (exchange.timings.first_byte_ms, exchange.timings.whole_ms) == (500.0, 500.0)


# --- Too large --------------------------------------------------------------------


def test_a_body_that_every_endpoint_takes_asks_nobody(stubs: Stubs) -> None:
    check_payload(stubs.session, "ner", size_bytes=contract.SERVERLESS_PAYLOAD_BYTES)


def test_a_body_too_large_for_serverless(stubs: Stubs) -> None:
    stubs.describe(ProductionVariants=SERVERLESS)

    with pytest.raises(UsageError, match=r"4,194,305 bytes to `ner`.*at most 4,194,304") as told:
        check_payload(stubs.session, "ner", size_bytes=4 * 1024 * 1024 + 1)

    assert "async" in str(told.value.hint)


def test_a_body_that_real_time_takes_and_one_that_it_does_not(stubs: Stubs) -> None:
    stubs.describe()
    check_payload(stubs.session, "ner", size_bytes=contract.REALTIME_PAYLOAD_BYTES)
    stubs.describe()
    with pytest.raises(UsageError, match="a real-time endpoint has at most 26,214,400"):
        check_payload(stubs.session, "ner", size_bytes=contract.REALTIME_PAYLOAD_BYTES + 1)


def test_who_may_only_invoke_is_held_to_the_largest_limit(stubs: Stubs) -> None:
    stubs.deny_describing()
    check_payload(stubs.session, "ner", size_bytes=5_000_000)
    stubs.deny_describing()
    with pytest.raises(UsageError, match="real-time"):
        check_payload(stubs.session, "ner", size_bytes=30_000_000)


# --- Refused ----------------------------------------------------------------------


def refused(stubs: Stubs) -> PortsideError:
    with pytest.raises(RemoteError) as told:
        invoke(stubs.session, "ner", body=b"{}")
    return told.value


@pytest.mark.parametrize(("status", "hint"), [(400, "mend the request"), (500, "portside logs")])
def test_the_models_own_words(stubs: Stubs, status: int, hint: str) -> None:
    stubs.refuse(
        "ModelError",
        "Received client error",
        OriginalStatusCode=status,
        OriginalMessage='{"error": {"code": "InvalidBody", "message": "no strings"}}',
    )

    error = refused(stubs)

    assert error.message == f"the model of `ner` answered {status}: no strings"
    assert hint in str(error.hint)
    assert "portside logs ner" in str(error.hint)


def test_an_answer_that_did_not_come_in_time(stubs: Stubs) -> None:
    stubs.refuse("ModelError", "Your invocation timed out", OriginalStatusCode=0)

    error = refused(stubs)

    assert error.message.endswith("Your invocation timed out")
    assert error.hint == "read why: `portside logs ner`"


def test_throttled_with_no_text_at_all(stubs: Stubs) -> None:
    stubs.refuse("ThrottlingException")

    error = refused(stubs)

    assert "`ner` refused the request: all that it may do at once is busy" in error.message
    assert "max_concurrency" in str(error.hint)


def test_one_that_is_still_being_made(stubs: Stubs) -> None:
    stubs.refuse("ValidationError", "Endpoint ner of account 1 not found.")
    stubs.describe(status="Creating")

    error = refused(stubs)

    assert error.message == "`ner` does not answer: it is Creating"
    assert "portside deploy" in str(error.hint)


def test_one_that_failed(stubs: Stubs) -> None:
    stubs.refuse("ValidationError", "Endpoint ner of account 1 not found.")
    stubs.describe(status="Failed", reason="No ping.")

    error = refused(stubs)

    assert error.message == "`ner` does not answer: it is Failed: No ping"
    assert "portside logs ner" in str(error.hint)


def test_one_that_is_asynchronous(stubs: Stubs) -> None:
    stubs.refuse("ValidationError", "Endpoint ner is of another kind.")
    stubs.describe(AsyncInferenceConfig=ASYNC)

    assert refused(stubs).hint == "`ner` is asynchronous: add `--async`"


def test_one_that_is_not_there(stubs: Stubs) -> None:
    stubs.refuse("ValidationError", "Endpoint ner of account 1 not found.")
    stubs.sagemaker.add_client_error(
        "describe_endpoint", "ValidationException", "Could not find endpoint"
    )

    error = refused(stubs)

    assert error.message.endswith("Endpoint ner of account 1 not found")
    assert "portside deploy" in str(error.hint)
