"""A streamed answer between the handler's thread and the connection."""

from __future__ import annotations

import threading
import time

import pytest

from portside.serving.error import CallerGoneError, PredictionFailedError
from portside.serving.exchange import Exchange
from portside.serving.invocation import Answer, Invocation
from portside.serving.stream import ResponseStream
from portside.serving.ticket import Ticket
from tests.unit.serving.server_fakes import Caller
from tests.unit.serving.wire_fakes import FakeHost, Peer, request

pytestmark = pytest.mark.timeout(20)

TEXT = Answer(body=iter(()), content_type="text/plain")


class Scene:
    """A request whose answer is streamed; what is handed over waits for `run`."""

    def __init__(self, *, buffer_bytes: int | None = None, may_begin: bool = True) -> None:
        self.peer = Peer(FakeHost(lambda _: None), buffer_bytes=buffer_bytes)
        self.peer.send(request())
        self.ended: list[Ticket] = []
        self.ticket = Ticket(Invocation(b""), Caller(), 0.0, 60.0)
        self.stream = ResponseStream(
            self.exchange,
            call_soon=self.peer.host.loop.call_soon,
            begin=lambda _: may_begin,
            end=self.ended.append,
        )

    @property
    def exchange(self) -> Exchange:
        return self.peer.host.exchanges[0]

    def run(self) -> None:
        self.peer.host.loop.run()


def test_chunks_go_out_as_they_come():
    scene = Scene()
    scene.stream.start(scene.ticket, TEXT)
    scene.stream.send(b"a")
    scene.run()
    assert [(a.status, a.body, a.is_complete) for a in scene.peer.answers] == [(200, b"a", False)]

    scene.stream.send(b"b")
    scene.stream.end(scene.ticket, is_complete=True)
    scene.run()

    assert [(a.body, a.is_complete) for a in scene.peer.answers] == [(b"ab", True)]
    assert scene.ended == [scene.ticket]
    assert not scene.peer.transport.is_closed


def test_what_broke_is_not_complete():
    scene = Scene()
    scene.stream.start(scene.ticket, TEXT)
    scene.stream.send(b"a")
    scene.stream.end(scene.ticket, is_complete=False)
    scene.run()

    assert [(a.body, a.is_complete) for a in scene.peer.answers] == [(b"a", False)]
    assert scene.peer.transport.is_closed
    assert scene.ended == [scene.ticket]


def test_a_stream_that_begins_too_late_sends_nothing_and_holds_nobody():
    scene = Scene(may_begin=False)
    scene.exchange.is_over = True  # a 504 was sent
    scene.stream.start(scene.ticket, TEXT)
    scene.stream.end(scene.ticket, is_complete=True)
    scene.run()

    assert scene.peer.transport.written == b""
    with pytest.raises(CallerGoneError):
        scene.stream.send(b"a")


def test_chunks_that_come_too_late_hold_nobody():
    scene = Scene(buffer_bytes=10)
    scene.stream.start(scene.ticket, TEXT)
    for _ in range(16):
        scene.stream.send(b"x" * 10)
    scene.peer.connection.pause_writing()
    scene.exchange.is_over = True
    scene.run()

    with pytest.raises(CallerGoneError):
        scene.stream.send(b"x")  # at once, not after the patience with a slow reader


def test_a_head_that_cannot_be_sent_is_found_before_anything_is():
    scene = Scene()
    with pytest.raises(PredictionFailedError, match="cannot send the header"):
        scene.stream.start(scene.ticket, TEXT._replace(headers={"x": "a\r\nSet-Cookie: b"}))

    scene.run()
    assert scene.peer.transport.written == b""


class Sender(threading.Thread):
    """The handler's thread: sends until it is held, is told to stop, or has sent all."""

    def __init__(self, stream: ResponseStream, *, chunks: int) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._chunks = chunks
        self.sent = 0
        self.is_told_to_stop = False

    def run(self) -> None:
        try:
            for _ in range(self._chunks):
                self._stream.send(b"x" * 10)
                self.sent += 1
        except CallerGoneError:
            self.is_told_to_stop = True

    def wait_until_held(self) -> None:
        seen = -1
        while self.is_alive() and seen != self.sent:
            seen = self.sent
            time.sleep(0.02)


def held_sender() -> tuple[Scene, Sender]:
    """A caller that reads nothing, and a thread that can send it no more."""
    scene = Scene(buffer_bytes=30)
    scene.stream.start(scene.ticket, TEXT)
    sender = Sender(scene.stream, chunks=100)
    sender.start()
    for _ in range(3):
        sender.wait_until_held()
        scene.run()
    assert not scene.peer.connection.can_write
    assert sender.sent < 40
    return scene, sender


def test_a_slow_reader_holds_the_handler_until_it_has_caught_up():
    scene, sender = held_sender()
    while sender.is_alive():
        scene.peer.transport.be_read()
        scene.run()
    scene.run()

    assert sender.sent == 100
    [answer] = scene.peer.answers
    assert answer.body == b"x" * 1000


def test_a_caller_that_goes_lets_the_handler_go():
    scene, sender = held_sender()
    scene.peer.transport.lose()
    scene.run()
    sender.join(10)

    assert sender.is_told_to_stop


def test_an_answer_that_is_given_up_lets_the_handler_go():
    """Its time is over: the event loop has broken it off."""
    scene, sender = held_sender()
    scene.exchange.end(is_complete=False)
    scene.run()
    sender.join(10)

    assert sender.is_told_to_stop
