"""HTTP/1.1 to the letter, where a proxy or a client library relies on it."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from tests.contract.wire import Target, request_bytes

KEPT_ALIVE_S = 76
"""SageMaker's proxy, like AWS's load balancers, keeps connections for 60 s and longer."""

PING = request_bytes("GET", "/ping")

# --- One connection, many requests ------------------------------------------------


@pytest.mark.should
def test_a_connection_serves_many_requests(target: Target):
    with target.connect() as wire:
        for _ in range(3):
            wire.send(target.invocation())
            assert wire.read_answer("POST").status == 200
            assert wire.ask("GET", "/ping").status == 200


@pytest.mark.should
def test_a_connection_outlives_a_bad_request(target: Target):
    with target.connect() as wire:
        headers = {"Content-Type": target.content_type}
        bad = wire.ask("POST", "/invocations", headers=headers, body=b"{")
        wire.send(target.invocation())

        assert bad.status == 400
        assert wire.read_answer("POST").status == 200


@pytest.mark.should
def test_pipelined_requests_are_answered_in_order(target: Target):
    with target.connect() as wire:
        wire.send(target.invocation() + PING + target.invocation() + PING)

        answers = [wire.read_answer(method) for method in ("POST", "GET", "POST", "GET")]

    assert [answer.status for answer in answers] == [200] * 4
    assert answers[0].body == answers[2].body != answers[1].body


@pytest.mark.should
def test_many_pipelined_requests_are_all_answered(target: Target):
    with target.connect() as wire:
        wire.send(PING * 200)

        assert {wire.read_answer().status for _ in range(200)} == {200}


@pytest.mark.should
@pytest.mark.slow
def test_a_connection_is_kept_for_more_than_75_s(target: Target):
    with target.connect() as wire:
        assert wire.ask("GET", "/ping").status == 200

        time.sleep(KEPT_ALIVE_S)

        assert wire.ask("GET", "/ping").status == 200


@pytest.mark.should
def test_close_is_honored(target: Target):
    with target.connect() as wire:
        answer = wire.ask("GET", "/ping", headers={"Connection": "close"})

        assert answer.status == 200
        assert wire.is_closed()


@pytest.mark.should
@pytest.mark.parametrize("connection", ["", "Connection: keep-alive\r\n"])
def test_a_caller_of_http_1_0_sees_where_the_answer_ends(target: Target, connection: str):
    """It keeps a connection only if it is told so, and else reads until the end."""
    with target.connect() as wire:
        wire.send(f"GET /ping HTTP/1.0\r\n{connection}\r\n".encode())
        answer = wire.read_answer()

        assert answer.status == 200
        told = answer.headers.get("connection", "").lower()
        assert wire.is_closed() if told != "keep-alive" else connection


# --- How a request is written -----------------------------------------------------


@pytest.mark.must
def test_a_request_may_arrive_byte_by_byte(target: Target):
    with target.connect() as wire:
        for byte in target.invocation():
            wire.send(bytes([byte]))

        assert wire.read_answer("POST").status == 200


@pytest.mark.must
def test_header_names_are_found_in_any_case(target: Target):
    with target.connect() as wire:
        head, _, body = target.invocation().partition(b"\r\n\r\n")
        first, _, headers = head.partition(b"\r\n")
        wire.send(b"\r\n".join([first, headers.upper().replace(b"JSON", b"json"), b"", body]))

        assert wire.read_answer("POST").status == 200


@pytest.mark.should
@pytest.mark.parametrize("path", ["/ping?at=1", "http://contract.test/ping", "/%70ing"])
def test_a_target_may_be_written_in_several_ways(target: Target, path: str):
    """A server has to take the absolute form. RFC 9112, section 3.2.2."""
    assert target.ask("GET", path).status == 200


@pytest.mark.should
def test_a_caller_that_waits_for_100_is_told_to_go_on(target: Target):
    head, _, body = target.invocation(Expect="100-continue").partition(b"\r\n\r\n")
    with target.connect() as wire:
        wire.send(head + b"\r\n\r\n")
        interim = wire.read_head()
        wire.send(body)
        answer = wire.read_answer("POST")

    assert interim.status == 100
    assert answer.status == 200


@pytest.mark.should
def test_a_caller_that_waits_for_100_is_refused_before_it_sends(target: Target):
    headers = {"Expect": "100-continue", "Content-Length": str(2**30)}
    with target.connect() as wire:
        wire.send(request_bytes("POST", "/invocations", headers=headers))

        assert wire.read_head().status in {413, 417}


@pytest.mark.should
def test_an_offer_of_http_2_is_ignored(target: Target):
    """Java's own client makes it with every first request, its body included."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMA"}
    headers = {"Content-Type": target.content_type} | offer
    with target.connect() as wire:
        answer = wire.ask("POST", "/invocations", headers=headers, body=target.body)
        again = wire.ask("GET", "/ping", headers=offer)
        once_more = wire.ask("GET", "/ping")

    assert [answer.status, again.status, once_more.status] == [200] * 3


@pytest.mark.should
def test_chunk_extensions_and_trailers_change_nothing(target: Target):
    """A trailer must not pass for a header. RFC 9110, section 6.5.1."""
    with target.connect() as wire:
        wire.send(target.chunked_head)
        wire.send(b"%x;name=value\r\n%b\r\n" % (len(target.body), target.body))
        wire.send(b"0\r\nContent-Type: application/x-other\r\nX-Sum: 1\r\n\r\n")
        answer = wire.read_answer("POST")

        assert answer.status == 200
        assert wire.ask("GET", "/ping").status == 200


@pytest.mark.should
def test_head_is_answered_without_a_body(target: Target):
    with target.connect() as wire:
        answer = wire.ask("HEAD", "/ping")

        assert answer.status in {200, 405}
        assert wire.ask("GET", "/ping").status == 200


# --- What is not HTTP -------------------------------------------------------------

MALFORMED = {
    "no-http": b"hello\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303"),
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version": b"GET /ping HTTP/9.9\r\nHost: a\r\n\r\n",
    "space-before-colon": b"GET /ping HTTP/1.1\r\nHost : a\r\n\r\n",
    "nul-in-header": b"GET /ping HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "two-lengths": (
        b"POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
    ),
    "negative-length": b"POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "huge-length": b"POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n",
    "length-and-chunks": (
        b"POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "coding-after-chunked": (
        b"POST /ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
    ),
    "chunk-size": (
        b"POST /ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n"
    ),
    "chunk-too-long": (
        b"POST /ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"
    ),
}


@pytest.mark.should
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_requests_are_400_and_end_the_connection(target: Target, data: bytes):
    """What one side reads in another way than a proxy before it lets requests be smuggled."""
    with target.connect() as wire:
        wire.send(data)
        answer = wire.read_answer("POST")

        assert answer.status in {400, 413, 501, 505}
        assert wire.is_closed()
    assert target.ping().status == 200


@pytest.mark.should
def test_a_request_without_a_host_is_400(target: Target):
    """RFC 9112, section 3.2."""
    with target.connect() as wire:
        wire.send(b"GET /ping HTTP/1.1\r\n\r\n")

        assert wire.read_answer().status == 400


@pytest.mark.should
@pytest.mark.parametrize(
    "data",
    [
        b"GET /ping HTTP/1.1\r\nHost: a\r\n" + b"X-Long: " + b"a" * 2**20 + b"\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: a\r\n" + b"X-Many: a\r\n" * 2**16 + b"\r\n",
        b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["header", "headers", "target"],
)
def test_a_head_without_measure_is_refused(target: Target, data: bytes):
    with target.connect() as wire:
        with suppress(BrokenPipeError, ConnectionResetError):
            wire.send(data)

        assert wire.read_answer().status in {400, 413, 414, 431}
    assert target.ping().status == 200
