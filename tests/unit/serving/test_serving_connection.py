"""HTTP on a connection without a socket: framing, order, limits, time, and hostile bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.serving.exchange import Exchange
from portside.serving.response import Response
from tests.unit.serving.wire_fakes import HOST, FakeHost, Peer, chunked, echo, request

KIB = 1024


def hold(_: Exchange) -> None:
    """Does not answer; the test does."""


def respond(exchange: Exchange, body: bytes = b"ok") -> None:
    exchange.respond(Response(status=200, body=body))


# --- One request ----------------------------------------------------------------


def test_a_request_arrives_as_it_was_sent():
    peer = Peer()
    headers = b"X-One: 1\r\nx-two: a\r\nX-TWO: b\xe9\r\n"
    peer.send(request("/models/a%20b?x=1&y=%20", body=b"[1]", headers=headers))

    [exchange] = peer.host.exchanges
    assert (exchange.method, exchange.path, exchange.query) == ("POST", "/models/a b", "x=1&y=%20")
    assert exchange.body == b"[1]"
    assert exchange.headers == {
        "host": "instance",
        "content-length": "3",
        "x-one": "1",
        "x-two": "a, bé",
    }


def test_an_answer_has_a_length_and_keeps_the_connection():
    peer = Peer().send(request("/ping", method="GET"))

    [answer] = peer.answers
    assert (answer.status, answer.body) == (200, b"GET /ping? ")
    assert answer.headers["content-length"] == "11"
    assert "connection" not in answer.headers
    assert not peer.transport.is_closed


def test_many_requests_one_after_the_other():
    peer = Peer()
    for number in range(5):
        peer.send(request(f"/{number}", body=b"%d" % number))

    assert peer.bodies == [b"POST /%d? %d" % (number, number) for number in range(5)]


@pytest.mark.parametrize(
    "sent", [chunked(b"[1,", b"2]"), chunked(b"[1,2]"), chunked(*[bytes([b]) for b in b"[1,2]"])]
)
def test_chunks_are_joined(sent: bytes):
    peer = Peer().send(sent)

    assert [exchange.body for exchange in peer.host.exchanges] == [b"[1,2]"]


def test_trailers_and_extensions_of_chunks_change_nothing():
    sent = chunked(b"abc", trailers=b"X-Amzn-SageMaker-Custom-Attributes: forged\r\n")
    sent = sent.replace(b"3\r\n", b"3;name=value\r\n")
    peer = Peer().send(sent, request("/next", method="GET"))

    first, _ = peer.host.exchanges
    assert first.body == b"abc"
    assert set(first.headers) == {"host", "transfer-encoding"}
    assert peer.statuses == [200, 200]


def test_an_answer_to_head_has_no_body():
    peer = Peer().send(request("/ping", method="HEAD"))

    head, _, body = peer.transport.written.partition(b"\r\n\r\n")
    assert b"content-length: 12" in head
    assert body == b""


def test_a_request_that_names_the_whole_address_is_understood():
    peer = Peer().send(request("http://instance:8080/ping?x=1", method="GET"))

    assert [(e.path, e.query) for e in peer.host.exchanges] == [("/ping", "x=1")]


# --- Versions -------------------------------------------------------------------


def test_http_1_0_ends_with_its_answer():
    peer = Peer().send(b"GET /ping HTTP/1.0\r\n\r\n")

    [answer] = peer.answers
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert peer.transport.is_closed


def test_a_stream_to_http_1_0_is_not_chunked():
    def stream(exchange: Exchange) -> None:
        exchange.start(Response(status=200, content_type="text/plain"))
        exchange.write(b"a")
        exchange.write(b"b")
        exchange.end(is_complete=True)

    peer = Peer(FakeHost(stream)).send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

    head, _, body = peer.transport.written.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == b"ab"
    assert peer.transport.is_closed


def test_a_stream_is_chunked_and_the_connection_goes_on():
    def stream(exchange: Exchange) -> None:
        exchange.start(Response(status=200, content_type="text/plain"))
        exchange.write(b"a")
        exchange.write(b"")  # would be the end
        exchange.write(b"bc")
        exchange.end(is_complete=True)

    peer = Peer(FakeHost(stream)).send(request(body=b""), request(body=b""))

    assert [(a.body, a.is_complete) for a in peer.answers] == [(b"abc", True)] * 2


def test_a_stream_that_breaks_is_not_complete_and_ends_the_connection():
    def stream(exchange: Exchange) -> None:
        exchange.start(Response(status=200))
        exchange.write(b"a")
        exchange.end(is_complete=False)

    peer = Peer(FakeHost(stream)).send(request(body=b""))

    assert [(a.body, a.is_complete) for a in peer.answers] == [(b"a", False)]
    assert peer.transport.is_closed


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_sends_none(status: int):
    """A body after it would be taken for the begin of the next answer."""

    def whole(exchange: Exchange) -> None:
        exchange.respond(Response(status=status, body=b"HTTP/1.1 200 OK\r\n\r\n"))

    def stream(exchange: Exchange) -> None:
        exchange.start(Response(status=status))
        exchange.write(b"HTTP/1.1 200 OK\r\n\r\n")
        exchange.end(is_complete=True)

    for answer in (whole, stream):
        peer = Peer(FakeHost(answer)).send(request(method="GET"), request(method="GET"))
        assert peer.statuses == [status, status]


def test_a_stream_to_head_has_no_body():
    def stream(exchange: Exchange) -> None:
        exchange.start(Response(status=200))
        exchange.write(b"a")
        exchange.end(is_complete=True)

    peer = Peer(FakeHost(stream)).send(request(method="HEAD"))

    assert peer.transport.written.endswith(b"\r\n\r\n")
    assert not peer.transport.is_closed


# --- Pipelining -----------------------------------------------------------------


def test_requests_sent_ahead_are_answered_one_at_a_time_and_in_order():
    peer = Peer(FakeHost(hold)).send(b"".join(request(f"/{number}") for number in range(4)))

    for number in range(4):
        assert [exchange.path for exchange in peer.host.exchanges][number:] == [f"/{number}"]
        respond(peer.host.exchanges[number], b"%d" % number)
        peer.host.loop.run()
    assert peer.bodies == [b"0", b"1", b"2", b"3"]


def test_a_request_does_not_overtake_one_that_waits():
    """The next one waits for the event loop, and a third one arrives before it."""
    peer = Peer(FakeHost(hold)).send(request("/a") + request("/b"))
    respond(peer.host.exchanges[0])

    peer.connection.data_received(request("/c"))
    peer.host.loop.run()
    respond(peer.host.exchanges[1])
    peer.host.loop.run()

    assert [exchange.path for exchange in peer.host.exchanges] == ["/a", "/b", "/c"]


def test_thousands_sent_ahead_are_read_no_faster_than_they_are_answered():
    peer = Peer(FakeHost(hold))
    peer.send(*[request(f"/{number}", method="GET") for number in range(1000)])

    assert not peer.transport.is_reading
    for number in range(1000):
        assert len(peer.connection._queued) <= 16
        respond(peer.host.exchanges[number])
        peer.host.loop.run()
        peer.send()
    assert len(peer.answers) == 1000
    assert peer.transport.is_reading


def test_a_piece_with_thousands_of_requests_is_answered_without_reading_on():
    peer = Peer(FakeHost(hold))
    peer.send(request("/x", method="GET") * 500)
    for number in range(400):
        respond(peer.host.exchanges[number])
        peer.host.loop.run()
        assert not peer.transport.is_reading
    for number in range(400, 500):
        respond(peer.host.exchanges[number])
        peer.host.loop.run()
    assert peer.transport.is_reading


def test_many_requests_at_once_need_no_deep_stack():
    peer = Peer().send(request("/x", method="GET") * 5000)

    assert len(peer.answers) == 5000


def test_a_refusal_comes_after_the_answers_to_what_came_before_it():
    peer = Peer(FakeHost(hold)).send(request("/a") + request("/b") + b"nonsense\r\n\r\n")
    respond(peer.host.exchanges[0], b"a")
    peer.host.loop.run()
    respond(peer.host.exchanges[1], b"b")
    peer.host.loop.run()

    assert peer.statuses == [200, 200, 400]
    assert peer.bodies[:2] == [b"a", b"b"]
    assert peer.transport.is_eof_written


def test_what_follows_a_request_that_closes_is_ignored():
    peer = Peer().send(request(headers=b"Connection: close\r\n") + request("/never"))

    assert peer.statuses == [200]
    assert peer.transport.is_closed


# --- Stale answers --------------------------------------------------------------


def test_a_stale_answer_does_not_reach_the_next_request():
    """A 504 was sent, and then the handler comes back."""
    peer = Peer(FakeHost(hold)).send(request("/slow"), request("/next"))
    slow, *_ = peer.host.exchanges
    slow.respond(Response(status=504))
    peer.host.loop.run()

    slow.respond(Response(status=200, body=b"stale"))
    slow.start(Response(status=200))
    slow.write(b"stale")
    slow.end(is_complete=True)
    respond(peer.host.exchanges[1], b"fresh")

    assert b"stale" not in peer.transport.written
    assert peer.statuses == [504, 200]
    assert peer.bodies[1] == b"fresh"


def test_an_answer_for_a_caller_that_is_gone_is_dropped():
    gone: list[str] = []
    peer = Peer(FakeHost(hold)).send(request(body=b"[1]"))
    [exchange] = peer.host.exchanges
    exchange.on_gone = lambda: gone.append("gone")

    peer.transport.lose()
    respond(exchange)

    assert gone == ["gone"]
    assert peer.transport.written == b""
    assert exchange.is_over


def test_nobody_is_told_of_a_caller_that_goes_after_its_answer():
    gone: list[str] = []
    peer = Peer(FakeHost(hold)).send(request())
    [exchange] = peer.host.exchanges
    exchange.on_gone = lambda: gone.append("gone")
    respond(exchange)

    peer.transport.lose()

    assert gone == []


# --- Expect: 100-continue -------------------------------------------------------

EXPECT = b"Expect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_caller_that_asks_is_told_to_send_its_body():
    peer = Peer().send(request(headers=EXPECT + b"Content-Length: 3\r\n"))
    assert peer.transport.written == CONTINUE

    peer.send(b"[", b"1]")
    assert peer.transport.written.count(CONTINUE) == 1
    assert [exchange.body for exchange in peer.host.exchanges] == [b"[1]"]


def test_a_caller_that_did_not_wait_is_not_told():
    peer = Peer().send(request(body=b"[1]", headers=EXPECT))

    assert peer.statuses == [200]


def test_a_body_that_is_too_large_is_refused_before_it_is_sent():
    peer = Peer().send(request(headers=EXPECT + b"Content-Length: 1001\r\n"))

    assert peer.statuses == [413]


def test_go_on_is_not_said_in_the_middle_of_another_answer():
    peer = Peer(FakeHost(hold)).send(
        request("/a"), request(headers=EXPECT + b"Content-Length: 1\r\n")
    )

    assert peer.transport.written == b""


# --- Other protocols ------------------------------------------------------------

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.mark.parametrize("body", [b"", b"[1]"])
def test_an_offer_of_another_protocol_is_ignored(body: bytes):
    first, second = request("/a", body=body, headers=H2C), request("/b", body=b"[2]")

    for peer in (Peer().send(first + second), Peer().send(first, second)):
        assert peer.bodies == [b"POST /a? " + body, b"POST /b? [2]"]
        assert "upgrade" not in peer.host.exchanges[0].headers


def test_thousands_of_offers_at_once_need_no_deep_stack():
    peer = Peer().send(request("/a", headers=H2C, body=b"x") * 3000)

    assert len(peer.answers) == 3000


def test_this_is_no_proxy():
    peer = Peer().send(b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n")

    assert (peer.statuses, peer.host.exchanges) == ([400], [])


# --- Limits ---------------------------------------------------------------------


def refused(peer: Peer, status: int) -> None:
    """It was told so, may read it for a while, and then the connection ends."""
    assert peer.statuses[-1] == status
    assert peer.answers[-1].headers["connection"] == "close"
    assert peer.transport.is_eof_written
    assert not peer.transport.is_closed
    assert peer.host.held_bytes == 0
    peer.send(b"x" * 1000)
    peer.pass_time(6)
    assert peer.transport.is_lost


LARGE_HEAD = request(headers=b"X-Large: " + b"x" * 70 * KIB + b"\r\n")
MANY_HEADERS = request(headers=b"X: y\r\n" * 12_000)


@pytest.mark.parametrize("sent", [LARGE_HEAD, MANY_HEADERS, request("/" + "x" * 70 * KIB)])
@pytest.mark.parametrize("piece_bytes", [4 * KIB, 256 * KIB])
def test_a_head_over_the_limit_is_a_431(sent: bytes, piece_bytes: int):
    peer = Peer()
    peer.send(*[sent[at : at + piece_bytes] for at in range(0, len(sent), piece_bytes)])

    assert peer.host.exchanges == []
    refused(peer, 431)


def test_a_head_over_the_limit_is_found_behind_another_request():
    peer = Peer().send(request("/a", method="GET") + LARGE_HEAD)

    assert len(peer.host.exchanges) == 1
    refused(peer, 431)


def test_a_large_head_within_the_limit_is_read():
    sent = request(headers=b"X-Large: " + b"x" * 63 * KIB + b"\r\n", body=b"x" * 1000)

    assert Peer().send(sent).statuses == [200]
    assert Peer().send(sent[:100], sent[100:]).statuses == [200]


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"0\r\n" + b"X: y\r\n" * 100, b"1;x="])
def test_endless_trailers_and_extensions_are_refused(endless: bytes):
    peer = Peer().send(chunked(b"abc").removesuffix(b"0\r\n\r\n") + endless)
    for _ in range(70):
        peer.send(b"y" * KIB)

    assert peer.host.exchanges == []
    assert 400 <= peer.statuses[-1] < 500


def test_the_frames_of_many_small_chunks_are_no_head():
    host = FakeHost(max_body_bytes=100_000, room_bytes=100_000)
    sent = chunked(*[b"x"] * 15_000)
    peer = Peer(host).send(*[sent[at : at + 100] for at in range(0, len(sent), 100)])

    assert peer.statuses == [200]


@pytest.mark.parametrize(
    "sent",
    [
        request(headers=b"Content-Length: 1001\r\n"),
        request(body=b"x" * 1001),
        chunked(b"x" * 999, b"xy"),
        chunked(b"x" * 1001),
    ],
)
def test_a_body_over_the_limit_is_a_413_announced_or_not(sent: bytes):
    peer = Peer().send(sent)

    assert peer.host.exchanges == []
    refused(peer, 413)


def test_a_body_at_the_limit_is_read():
    assert Peer().send(request(body=b"x" * 1000)).statuses == [200]
    assert Peer().send(chunked(b"x" * 999, b"y")).statuses == [200]


MALFORMED = [
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /a\nHost: x\n\n",
    b"GET /a HTTP/1.1\r\n\r\n",  # no host
    b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    # What two servers in a row could understand differently.
    request(headers=b"Content-Length: 3\r\nContent-Length: 4\r\n") + b"abcd",
    request(headers=b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n",
    request(headers=b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + b"0\r\n\r\n",
    request(headers=b"Content-Length: +3\r\n") + b"abc",
    request(headers=b"Content-Length: 3 3\r\n") + b"abc",
    request(headers=b"Content-Length: -1\r\n"),
    request(headers=b"Content-Length: 0x3\r\n") + b"abc",
    request(headers=b"Content-Length: 99999999999999999999999\r\n"),
    request(headers=b"Transfer-Encoding: xchunked\r\n") + b"0\r\n\r\n",
    request(headers=b"Transfer-Encoding: chunked, identity\r\n") + b"0\r\n\r\n",
    request(headers=b"Transfer-Encoding: identity\r\n"),
    request(headers=b"Transfer-Encoding\x0b: chunked\r\n") + b"0\r\n\r\n",
    request(headers=b"Transfer-Encoding : chunked\r\n") + b"0\r\n\r\n",
    request(headers=b"X: y\r\n folded\r\n"),
    request(headers=b"X: y\nZ: w\r\n"),
    request(headers=b"X: y\rZ: w\r\n"),
    request(headers=b"X: y\0z\r\n"),
    request(headers=b"X\xe9: y\r\n"),
    chunked(b"abc").replace(b"3\r\n", b"3\n"),
    chunked(b"abc").replace(b"3\r\n", b"0x3\r\n"),
    chunked(b"abc").replace(b"3\r\n", b"-3\r\n"),
    chunked(b"abc").replace(b"3\r\n", b"ffffffffffffffff3\r\n"),
    chunked(b"abc").replace(b"abc\r\n", b"abcd\r\n"),
    chunked(b"abc").replace(b"abc\r\n", b"abc\n"),
]


@pytest.mark.parametrize("sent", MALFORMED)
def test_what_is_malformed_or_ambiguous_is_a_400(sent: bytes):
    for peer in (Peer().send(sent), Peer().send_bytewise(sent)):
        assert peer.host.exchanges == []
        refused(peer, 400)


def test_bodies_of_all_callers_together_have_a_limit():
    host = FakeHost(hold, room_bytes=1500)
    first, second = Peer(host), Peer(host)
    first.send(request(body=b"x" * 1000))
    second.send(request(body=b"x" * 501))

    assert second.statuses == [429]
    assert second.answers[0].headers["retry-after"] == "1"
    assert host.held_bytes == 1000
    respond(host.exchanges[0])
    assert host.held_bytes == 0


def lose(peer: Peer) -> None:
    peer.transport.lose()


def drain(peer: Peer) -> None:
    peer.host.is_draining = True
    peer.connection.drain(peer.host.clock())
    for exchange in peer.host.exchanges:
        respond(exchange)
    peer.host.loop.run()
    peer.transport.lose()


@pytest.mark.parametrize("ending", [lose, drain])
@pytest.mark.parametrize(
    "sent",
    [
        request(body=b"x" * 100),
        request(body=b"x" * 100) * 3,
        request(body=b"x" * 100)[:-50],
        request(body=b"x" * 100) + request(body=b"x" * 100)[:-50],
        chunked(b"x" * 100, b"y" * 100)[:-120],
        request(body=b"x" * 100) + request(body=b"x" * 1001),
        request(body=b"x" * 100) + b"nonsense\r\n\r\n",
        request(body=b"x" * 100) * 2 + b"nonsense\r\n\r\n",
        request(body=b"x" * 100, headers=b"Connection: close\r\n") + request(body=b"x" * 100),
        request(body=b"x" * 100, headers=H2C) * 2,
    ],
)
def test_whatever_happens_no_byte_stays_counted(sent: bytes, ending: Callable[[Peer], None]):
    for handler in (hold, echo):
        peer = Peer(FakeHost(handler)).send(sent)
        ending(peer)
        assert peer.host.held_bytes == 0
        assert peer.host.connections == set()


# --- Time -----------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"P", request(headers=b"Content-Length: 9\r\n") + b"x"])
def test_a_request_that_does_not_arrive_in_time_is_a_408(begun: bytes):
    peer = Peer().send(begun)

    peer.pass_time(59)
    assert peer.transport.written == b""
    peer.pass_time(2)

    refused(peer, 408)


def test_a_trickle_of_bytes_gains_no_time():
    peer = Peer()
    for byte in request(headers=b"Content-Length: 9\r\n")[:61]:
        peer.send(bytes([byte])).pass_time(1)

    refused(peer, 408)


def test_a_request_that_begins_behind_another_has_a_time_limit_too():
    peer = Peer().send(request("/a") + b"POST /b HT")
    peer.pass_time(62)

    assert peer.statuses == [200, 408]


def test_an_idle_connection_ends_after_two_minutes_and_not_before():
    fresh, used = Peer(), Peer().send(request())
    for peer in (fresh, used):
        peer.pass_time(119)
        assert not peer.transport.is_closed
        peer.pass_time(2)
        assert peer.transport.is_lost


def test_a_connection_that_waits_for_its_answer_does_not_end():
    peer = Peer(FakeHost(hold)).send(request())
    peer.pass_time(1000)
    respond(peer.host.exchanges[0])

    assert peer.statuses == [200]
    assert not peer.transport.is_closed


def test_time_spent_on_an_answer_does_not_count_against_the_next_request():
    peer = Peer(FakeHost(hold)).send(request())
    peer.pass_time(100)
    peer.send(b"POST")
    peer.pass_time(100)
    respond(peer.host.exchanges[0])
    peer.pass_time(30)
    assert peer.statuses == [200]

    peer.send(request().removeprefix(b"POST"))

    assert len(peer.host.exchanges) == 2


# --- Callers that do not read ---------------------------------------------------


def test_requests_of_a_caller_that_does_not_read_are_not_worked_on():
    def large(exchange: Exchange) -> None:
        respond(exchange, b"x" * 1000)

    peer = Peer(FakeHost(large), buffer_bytes=2500)
    for _ in range(10):
        peer.send(request())
    assert len(peer.host.exchanges) == 3

    peer.transport.be_read()
    peer.host.loop.run()

    assert len(peer.host.exchanges) == 6
    assert all(answer.is_complete for answer in peer.answers)


def test_a_caller_that_reads_nothing_for_a_minute_is_cut_off():
    peer = Peer(buffer_bytes=10).send(request(body=b"x" * 100))
    peer.pass_time(59)
    assert not peer.transport.is_closed

    peer.pass_time(2)

    assert peer.transport.is_lost


def test_the_last_answer_is_not_waited_for_for_ever():
    peer = Peer(buffer_bytes=10).send(request(body=b"x", headers=b"Connection: close\r\n"))
    assert peer.transport.is_closed
    assert not peer.transport.is_aborted

    peer.pass_time(62)

    assert peer.transport.is_aborted


def test_whoever_writes_a_stream_is_told_when_there_is_room_and_when_it_is_over():
    told: list[str] = []
    peer = Peer(FakeHost(hold), buffer_bytes=300)
    peer.send(request())
    [exchange] = peer.host.exchanges
    exchange.start(Response(status=200))
    peer.connection.on_writable = lambda: told.append("room")

    exchange.write(b"x" * 300)
    assert not peer.connection.can_write
    peer.transport.be_read()
    assert told == ["room"]
    exchange.end(is_complete=True)
    assert told == ["room", "room"]
    assert peer.connection.on_writable is None


# --- Draining -------------------------------------------------------------------


def start_draining(peer: Peer) -> None:
    peer.host.is_draining = True
    peer.connection.drain(peer.host.clock())


def test_an_idle_connection_is_closed_at_once():
    peer = Peer().send(request())
    start_draining(peer)

    assert peer.transport.is_closed


def test_whoever_has_just_connected_has_a_second_for_a_request():
    peers = Peer(), Peer()
    for peer in peers:
        start_draining(peer)
        assert not peer.transport.is_closed
    patient, quick = peers
    quick.send(request())
    patient.host.clock.advance(1.0)
    start_draining(patient)

    assert (quick.statuses, patient.statuses) == ([200], [])
    assert quick.answers[0].headers["connection"] == "close"
    assert patient.transport.is_closed


def test_what_is_in_flight_is_answered_and_says_that_it_was_the_last():
    peer = Peer(FakeHost(hold)).send(request())
    start_draining(peer)
    assert not peer.transport.is_closed

    respond(peer.host.exchanges[0])

    assert peer.answers[0].headers["connection"] == "close"
    assert peer.transport.is_closed


def test_what_was_sent_ahead_is_answered_too():
    peer = Peer(FakeHost(hold)).send(request("/a") + request("/b") + request("/c"))
    start_draining(peer)

    for number in range(3):
        respond(peer.host.exchanges[number])
        peer.host.loop.run()

    assert [answer.headers.get("connection") for answer in peer.answers] == [None, None, "close"]
    assert peer.transport.is_closed


def test_what_waits_for_the_event_loop_is_not_dropped():
    peer = Peer(FakeHost(hold)).send(request("/a") + request("/b"))
    respond(peer.host.exchanges[0])
    start_draining(peer)
    peer.host.loop.run()
    respond(peer.host.exchanges[1])

    assert peer.statuses == [200, 200]
    assert peer.transport.is_closed


def test_a_request_that_is_on_its_way_is_answered():
    sent = request(body=b"[1]")
    peer = Peer().send(sent[:-1])
    start_draining(peer)
    assert not peer.transport.is_closed

    peer.send(sent[-1:])

    assert peer.statuses == [200]
    assert peer.transport.is_closed


# --- A fault of our own ---------------------------------------------------------


def test_an_application_that_breaks_is_a_500(caplog: pytest.LogCaptureFixture):
    def broken(_: Exchange) -> None:
        raise ZeroDivisionError("secret")

    peer = Peer(FakeHost(broken)).send(request("/a") + request("/b"))

    assert peer.statuses == [500, 500]
    assert b"secret" not in peer.transport.written
    assert "`POST /a` broke the server" in caplog.text


# --- Any bytes ------------------------------------------------------------------

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=8)
REQUESTS = st.one_of(
    st.builds(
        request,
        TOKENS.map(lambda token: "/" + token),
        method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
        body=st.one_of(st.none(), st.binary(max_size=40)),
        headers=st.sampled_from([b"", b"X: y\r\n", H2C, EXPECT, b"Connection: keep-alive\r\n"]),
    ),
    st.lists(st.binary(min_size=1, max_size=20), max_size=4).map(lambda chunks: chunked(*chunks)),
    st.sampled_from([request(headers=b"Connection: close\r\n"), b"GET / HTTP/1.0\r\n\r\n"]),
    st.sampled_from(MALFORMED),
)
TRAFFIC = st.lists(REQUESTS, min_size=1, max_size=5).map(b"".join)


def seen(peer: Peer) -> object:
    """What the application and the caller saw."""
    exchanges = [(e.method, e.path, e.query, dict(e.headers), e.body) for e in peer.host.exchanges]
    # Whether the caller has to be told to go on depends on what it has sent by then.
    answers = [(a.status, a.body, a.is_complete) for a in peer.answers if a.status != 100]
    return exchanges, answers, peer.transport.is_closed, peer.transport.is_eof_written


@given(TRAFFIC, st.lists(st.integers(0, 400), max_size=5))
def test_it_makes_no_difference_how_bytes_are_cut_into_pieces(traffic: bytes, cuts: list[int]):
    places = [0, *sorted(cuts), len(traffic)]
    pieces = [traffic[a:b] for a, b in pairwise(places) if a < b]

    whole = seen(Peer().send(traffic))

    assert seen(Peer().send(*pieces)) == whole
    assert seen(Peer().send_bytewise(traffic)) == whole


def check_harmless(pieces: list[bytes]) -> None:
    """No error gets out, no byte stays counted, and every answer is whole."""
    for handler in (echo, hold):
        peer = Peer(FakeHost(handler)).send(*pieces)
        statuses = [answer.status for answer in peer.answers]
        assert all(answer.is_complete for answer in peer.answers if answer.status != 100)
        assert not [status for status in statuses if status >= 500]
        peer.pass_time(200)
        peer.transport.lose()
        assert peer.host.held_bytes == 0
        assert peer.host.connections == set()


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=5))
def test_no_bytes_do_harm(pieces: list[bytes]):
    check_harmless(pieces)


@given(TRAFFIC, st.data())
@settings(max_examples=200)
def test_no_damaged_requests_do_harm(traffic: bytes, data: st.DataObject):
    damaged = bytearray(traffic)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        replacement = data.draw(st.sampled_from([b"", b"\r\n", b"\0", b":", b" ", b"\xff", b"0"]))
        damaged[place : place + data.draw(st.integers(0, 3))] = replacement
    logging.disable(logging.CRITICAL)
    try:
        check_harmless([bytes(damaged)])
    finally:
        logging.disable(logging.NOTSET)
