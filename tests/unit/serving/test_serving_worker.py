"""One worker, stepped by hand: what it makes of a handler, whatever that does."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from portside.serving import log
from portside.serving.backlog import Backlog
from portside.serving.error import FatalError, InvalidBodyError, PredictionFailedError
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job
from portside.serving.ticket import Ticket
from portside.serving.worker import Worker
from tests.unit.serving.server_fakes import Caller, Clock, FakeStream, NumbersHandler

pytestmark = pytest.mark.timeout(20)

TOGETHER = BatchLimit(inputs=4)


class Desk:
    """A worker with its backlog; what it hands over is delivered at once."""

    def __init__(self, handler: Any) -> None:
        self.clock = Clock()
        self.faults: list[str] = []
        self.backlog = Backlog(handler.batch_limit)
        self.worker = Worker(
            handler,
            self.backlog,
            name="handler-0",
            deliver=lambda ticket: ticket.reply.deliver(ticket),
            on_fault=self.faults.append,
            stream_timeout_s=480.0,
            clock=self.clock,
        )

    def put(self, body: bytes, *, caller: Caller | None = None) -> Ticket:
        caller = caller or Caller()
        now = self.clock.now
        ticket = Ticket(Invocation(body, request_id="id-" + body.decode()), caller, now, now + 60.0)
        self.backlog.put(ticket)
        return ticket

    def stream(self, *, gone_after: int = -1) -> Caller:
        caller = Caller(gone_after=gone_after)
        self.put(b"1", caller=caller)
        self.worker.step()
        return caller


def outcome(ticket: Ticket) -> Any:
    assert isinstance(ticket.reply, Caller)
    return ticket.reply.outcome


# --- Stages ---------------------------------------------------------------------


def test_the_time_of_each_stage_is_noted():
    handler = NumbersHandler(TOGETHER)
    desk = Desk(handler)
    handler.before_open = lambda _: desk.clock.advance(0.25)
    handler.before_run = lambda _: desk.clock.advance(2.0)
    handler.before_finish = lambda _: desk.clock.advance(0.5)
    tickets = [desk.put(b"1 2"), desk.put(b"3")]
    desk.clock.advance(1.0)

    desk.worker.step()

    first, second = tickets
    assert (first.decode_s, first.predict_s, first.encode_s) == (0.25, 2.0, 0.5)
    assert (first.queue_s, second.queue_s) == (1.25, 1.25)  # the other's opening is waiting too
    assert (first.batch_size, first.tokens) == (3, 3)
    # Of the run, two thirds are the first one's.
    assert first.cost_s == pytest.approx(0.25 + 2.0 * 2 / 3 + 0.5)
    assert second.cost_s == pytest.approx(0.25 + 2.0 / 3 + 0.5)


def test_the_time_of_each_stage_is_noted_where_inputs_run_one_at_a_time():
    handler = NumbersHandler()
    desk = Desk(handler)
    handler.before_open = lambda _: desk.clock.advance(0.25)
    handler.before_run = lambda _: desk.clock.advance(2.0)
    handler.before_finish = lambda _: desk.clock.advance(0.5)
    ticket = desk.put(b"1 2")
    desk.clock.advance(1.0)

    desk.worker.step()

    assert (ticket.queue_s, ticket.decode_s, ticket.predict_s, ticket.encode_s) == (
        1.0,
        0.25,
        4.0,
        0.5,
    )
    assert (ticket.batch_size, ticket.cost_s) == (1, 4.75)


def test_whatever_is_logged_carries_the_requests_it_is_about():
    seen: list[tuple[str, list[str]]] = []

    def note(stage: str) -> Any:
        def look(_: object) -> None:
            seen.append((stage, [t.invocation.request_id for t in log.current.get()]))

        return look

    handler = NumbersHandler(TOGETHER, note("open"), note("run"), note("finish"))
    desk = Desk(handler)
    desk.put(b"1")
    desk.put(b"2")

    desk.worker.step()

    assert seen == [
        ("open", ["id-1"]),
        ("open", ["id-2"]),
        ("run", ["id-1", "id-2"]),
        ("finish", ["id-1"]),
        ("finish", ["id-2"]),
    ]
    assert log.current.get() == ()


# --- A handler that fails -------------------------------------------------------


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        GeneratorExit(),
        MuteError(),
    ],
)
@pytest.mark.parametrize("stage", ["before_open", "before_run", "before_finish"])
def test_whatever_the_handler_raises_is_a_500_with_its_traceback_in_the_log(
    stage: str, error: BaseException, caplog: pytest.LogCaptureFixture
):
    def fail(_: object) -> None:
        raise error

    desk = Desk(NumbersHandler(**{stage: fail}))
    ticket = desk.put(b"1")
    desk.worker.step()

    assert outcome(ticket) == 500
    assert ticket.error
    name = type(error).__name__
    assert ticket.error.message == f"{name} in the handler; see the log, request id `id-1`"
    [record] = caplog.records
    assert record.exc_info
    assert record.exc_info[1] is error
    assert desk.faults == []


@pytest.mark.parametrize("limit", [BatchLimit(), TOGETHER])
@pytest.mark.parametrize("outputs", [[], [1, 2]])
def test_results_that_do_not_fit_the_inputs_are_a_500(limit: BatchLimit, outputs: list[int]):
    class ForgetfulHandler(NumbersHandler):
        def run(self, inputs: Sequence[int]) -> Sequence[int]:
            return outputs

    desk = Desk(ForgetfulHandler(limit))
    ticket = desk.put(b"1")
    desk.worker.step()

    assert outcome(ticket) == 500
    assert ticket.error
    assert ticket.error.message == f"the handler gave {len(outputs)} results for 1 inputs"


def test_a_thread_that_breaks_is_a_fault_of_the_instance(caplog: pytest.LogCaptureFixture):
    """Without its thread the instance would answer nobody, and look healthy."""

    class BrokenHandler(NumbersHandler):
        def open(self, invocation: Invocation) -> Job:
            return "no job"  # type: ignore[return-value]  # that is the point

    desk = Desk(BrokenHandler())
    desk.put(b"1")
    desk.worker.start()
    desk.worker.join(10)

    assert not desk.worker.is_alive
    assert desk.faults == ["a thread broke: AttributeError: 'str' object has no attribute 'sizes'"]
    assert "a thread of the batcher broke" in caplog.text


# --- Streams --------------------------------------------------------------------


class Chunks:
    """A generator that remembers that it was closed."""

    def __init__(self, *parts: bytes | BaseException) -> None:
        self._parts = parts
        self.is_closed = False

    def __call__(self) -> Iterator[bytes]:
        try:
            for part in self._parts:
                if isinstance(part, BaseException):
                    raise part
                yield part
        finally:
            self.is_closed = True


def streaming(chunks: Chunks, **options: Any) -> Desk:
    return Desk(NumbersHandler(stream=chunks, **options))


def test_chunks_are_sent_as_they_are_made():
    desk = streaming(Chunks(b"a", b"b"))
    assert desk.stream().events == ["start", b"a", b"b", "complete"]


def test_a_stream_without_chunks_is_complete():
    desk = streaming(Chunks())
    assert desk.stream().events == ["start", "complete"]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("x"), 500), (InvalidBodyError("x"), 400)]
)
def test_an_error_before_the_first_chunk_has_its_status(error: Exception, status: int):
    caller = streaming(Chunks(error)).stream()

    assert caller.events == []
    assert caller.outcome == status


def test_an_error_after_the_first_chunk_breaks_the_answer_off():
    desk = streaming(Chunks(b"a", ValueError("x")))
    caller = Caller()
    ticket = desk.put(b"1", caller=caller)

    desk.worker.step()

    assert caller.events == ["start", b"a", "broken"]
    assert caller.tickets == []  # it is delivered by the end of the stream
    assert ticket.error is not None
    assert ticket.error.status == 500


def test_a_fatal_error_within_a_stream_is_noted():
    desk = streaming(Chunks(b"a", FatalError("the device is gone")))
    desk.stream()

    assert desk.faults == ["the device is gone"]


def test_the_generator_of_a_caller_that_is_gone_is_closed():
    chunks = Chunks(b"a", b"b", b"c")
    desk = streaming(chunks)
    caller = desk.stream(gone_after=2)

    assert caller.events == ["start", b"a", b"b", "broken"]
    assert chunks.is_closed


def test_a_generator_that_cannot_be_closed_does_no_harm(caplog: pytest.LogCaptureFixture):
    def stubborn() -> Iterator[bytes]:
        try:
            yield from (b"a", b"b", b"c")
        finally:
            raise OSError("cannot let go")

    handler = NumbersHandler(stream=stubborn)
    desk = Desk(handler)
    caller = desk.stream(gone_after=1)
    handler.stream = None
    ticket = desk.put(b"2")
    desk.worker.step()

    assert caller.events == ["start", b"a", "broken"]
    assert "OSError: cannot let go" in caplog.text
    assert outcome(ticket) == b"-2"


def test_a_head_that_cannot_be_sent_is_a_500_and_closes_the_generator():
    chunks = Chunks(b"a", b"b")

    class PickyStream(FakeStream):
        def start(self, ticket: Ticket, answer: Answer) -> None:
            raise PredictionFailedError("cannot send that head")

    class PickyCaller(Caller):
        def open_stream(self) -> FakeStream:
            return PickyStream(self, None)

    desk = streaming(chunks)
    caller = PickyCaller()
    desk.put(b"1", caller=caller)
    desk.worker.step()

    assert caller.outcome == 500
    assert chunks.is_closed


def test_a_stream_costs_the_time_that_it_takes():
    clock: list[Clock] = []

    def slow() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x"
            clock[0].advance(10.0)

    desk = Desk(NumbersHandler(stream=slow))
    clock.append(desk.clock)
    ticket = desk.put(b"1")
    desk.worker.step()

    assert ticket.cost_s == pytest.approx(30.0)


# --- Its end --------------------------------------------------------------------


def test_a_worker_ends_when_the_backlog_is_closed_and_empty():
    desk = Desk(NumbersHandler(TOGETHER))
    tickets = [desk.put(b"%d" % number) for number in range(1, 40)]
    desk.backlog.close()

    steps = 0
    while desk.worker.step():
        steps += 1

    assert steps == 10
    assert all(outcome(ticket) == b"-" + ticket.invocation.body for ticket in tickets)


def test_a_thread_is_left_behind_inside_a_call_of_the_handler_only():
    desk = Desk(NumbersHandler())

    assert not desk.worker.leave_behind(desk.clock.now + 1000, after_s=1.0)
    desk.put(b"1")
    desk.worker.step()
    assert not desk.worker.leave_behind(desk.clock.now + 1000, after_s=1.0)


def test_a_slow_reader_does_not_count_as_a_hanging_handler():
    desk = streaming(Chunks(b"a", b"b"))
    answers: list[bool] = []

    class SlowStream(FakeStream):
        def send(self, chunk: bytes) -> None:
            answers.append(desk.worker.leave_behind(desk.clock.now + 1000, after_s=1.0))

    class SlowCaller(Caller):
        def open_stream(self) -> FakeStream:
            return SlowStream(self, None)

    desk.put(b"1", caller=SlowCaller())
    desk.worker.step()

    assert answers == [False, False]


def test_a_closed_backlog_wakes_every_thread_that_waits():
    backlog = Backlog(BatchLimit(runs=3))
    threads = [threading.Thread(target=backlog.take_tickets) for _ in range(3)]
    for thread in threads:
        thread.start()

    backlog.close()

    deadline = time.monotonic() + 10
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads)


def test_nothing_is_logged_about_requests_that_fare_well(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    desk = Desk(NumbersHandler(TOGETHER))
    desk.put(b"1")
    desk.worker.step()

    assert caplog.records == []
