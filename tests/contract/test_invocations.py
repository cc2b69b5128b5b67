"""`/invocations`: what a caller of InvokeEndpoint, batch transform and a pipeline may send."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.contract.load import load, probe
from tests.contract.wire import Answer, Target

LARGEST_BYTES = 25 * 2**20
"""Of a real-time body. Developer Guide, hosting-faqs."""

PLATFORM_HEADERS = {
    "X-Amzn-SageMaker-Custom-Attributes": "trace-id=42",
    "X-Amzn-SageMaker-Inference-Id": "an-id",
    "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
    "X-Amzn-SageMaker-Target-Container-Hostname": "container-0",
    "X-Amzn-SageMaker-Enable-Explanations": "`true`",
    "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    "X-Forwarded-For": "10.32.0.2",
    "X-Some-Later-Header": "é".encode().decode("latin-1"),
}
"""What the platform lets through or adds; a container has to ignore what it does not know."""

BAD_BODIES = {
    "empty": b"",
    "no-json": b"{",
    "another-shape": b'{"neither": "strings", "nor": "inputs"}',
    "number": b"3",
    "null": b"null",
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
}


def is_plain_error(answer: Answer) -> bool:
    """Whether an error tells nothing of the program behind it."""
    return "Traceback (most recent call last)" not in answer.text and 'File "/' not in answer.text


# --- Good requests --------------------------------------------------------------


@pytest.mark.must
def test_a_good_request_is_200(target: Target):
    answer = target.invoke()

    assert answer.status == 200
    assert answer.body


@pytest.mark.must
@pytest.mark.parametrize("accept", ["", "*/*"])
def test_a_caller_may_leave_the_accept_open(target: Target, accept: str):
    assert target.invoke(Accept=accept).status == 200


@pytest.mark.should
@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json, */*;q=0.1",
        "application/xml;q=0.9, application/json;q=0.8",
        "APPLICATION/JSON",
        "application/*",
    ],
)
def test_accept_lists_weights_and_wildcards_are_understood(target: Target, accept: str):
    answer = target.invoke(Accept=accept)

    assert answer.status == 200
    assert answer.content_type == "application/json"


@pytest.mark.must
def test_headers_that_are_not_known_are_ignored(target: Target):
    headers = {"Content-Type": target.content_type} | PLATFORM_HEADERS

    assert target.ask("POST", "/invocations", headers=headers, body=target.body).status == 200


@pytest.mark.should
@pytest.mark.parametrize("parameter", ["; charset=utf-8", ";charset=UTF-8", '; charset="utf-8"'])
def test_a_charset_beside_the_content_type_is_understood(target: Target, parameter: str):
    assert target.invoke(Content_Type=target.content_type + parameter).status == 200


@pytest.mark.must
def test_requests_at_the_same_time_are_all_answered(target: Target):
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: target.invoke(), range(32)))

    assert [answer.status for answer in answers] == [200] * 32


@pytest.mark.must
def test_a_later_request_is_answered_as_the_first(target: Target):
    first, *others = [target.invoke() for _ in range(5)]

    assert {answer.status for answer in others} == {first.status}
    assert {len(answer.body) for answer in others} == {len(first.body)}


@pytest.mark.should
def test_a_chunked_request_is_read(target: Target):
    """Batch transform sends chunks where its payload is not limited."""
    half = len(target.body) // 2
    parts = [target.body[:half], target.body[half:], b""]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)

    with target.connect() as wire:
        wire.send(target.chunked_head + chunks)
        answer = wire.read_answer("POST")

    assert answer.status == 200


# --- Bad requests ---------------------------------------------------------------


@pytest.mark.must
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_answered_and_the_next_good_one_too(target: Target, body: bytes):
    bad = target.invoke(body)

    assert bad.status >= 200
    assert target.invoke().status == 200
    assert target.ping().status == 200


@pytest.mark.should
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_the_callers_fault(target: Target, body: bytes):
    answer = target.invoke(body)

    assert 400 <= answer.status < 500
    assert is_plain_error(answer)
    assert answer.body


@pytest.mark.should
@pytest.mark.parametrize(
    "content_type", ["application/x-nobody-reads-this", "no media type at all"]
)
def test_a_content_type_that_is_not_read_is_415(target: Target, content_type: str):
    answer = target.invoke(Content_Type=content_type)

    assert answer.status == 415
    assert is_plain_error(answer)


@pytest.mark.should
@pytest.mark.parametrize("accept", ["application/x-nobody-writes-this", "application/json;q=0"])
def test_an_accept_that_leaves_nothing_is_406(target: Target, accept: str):
    answer = target.invoke(Accept=accept)

    assert answer.status == 406
    assert is_plain_error(answer)


@pytest.mark.should
def test_a_body_over_the_limit_is_413(target: Target):
    answer = target.invoke(b" " * (LARGEST_BYTES + 1))

    assert answer.status == 413
    assert is_plain_error(answer)


@pytest.mark.should
def test_a_body_without_end_is_413(target: Target):
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    with target.connect() as wire:
        wire.send(target.chunked_head)
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(LARGEST_BYTES // 2**20 + 2):
                wire.send(chunk)
            wire.send(b"0\r\n\r\n")
        answer = wire.read_answer("POST")

    assert answer.status == 413


@pytest.mark.should
def test_another_method_is_405_and_says_which(target: Target):
    answer = target.ask("GET", "/invocations")

    assert answer.status == 405
    assert "POST" in answer.headers["allow"]


@pytest.mark.should
def test_another_path_is_404(target: Target):
    answer = target.ask("GET", "/no/such/path")

    assert answer.status == 404
    assert is_plain_error(answer)


# --- Under way ------------------------------------------------------------------


@pytest.mark.must
def test_a_caller_that_hangs_up_harms_nobody(target: Target):
    for cut in (1, len(target.invocation()) // 2, len(target.invocation())):
        for _ in range(5):
            with target.connect() as wire:
                wire.send(target.invocation()[:cut])

    assert target.invoke().status == 200
    assert target.ping().status == 200


@pytest.mark.must
def test_ping_is_quick_while_a_large_body_comes_in(target: Target):
    large = b'{"neither": [' + b"0.25, " * 2**20 + b"1]}"
    with load(target, callers=1, body=large) as seen:
        pings = probe(target.ping, times=20)

    assert {answer.status for answer in pings} == {200}
    assert max(answer.seconds for answer in pings) < 2
    assert not seen.errors
