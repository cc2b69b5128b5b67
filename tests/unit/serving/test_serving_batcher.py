"""The queue in front of a handler, in virtual time: room, deadlines, cancelling, hanging threads.

The workers are stepped by hand. What happens in the event loop while a handler
works is called from inside the handler.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.serving.batcher import Batcher, QueueLimit
from portside.serving.error import FatalError, OverloadedError, RequestError
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job
from portside.serving.worker import LeftBehindError
from tests.unit.serving.server_fakes import Caller, Clock, Loop, NumbersHandler, World

pytestmark = pytest.mark.timeout(20)

TOGETHER = BatchLimit(inputs=4)


# --- In and out -----------------------------------------------------------------


def test_a_request_is_answered_with_the_outputs_in_its_order():
    world = World(NumbersHandler(TOGETHER))

    caller = world.submit(b"3 1 2")
    world.step()

    assert caller.outcome == b"-3 -1 -2"
    assert world.batcher.in_flight == 0


def test_a_request_without_inputs_is_answered():
    world = World(NumbersHandler(TOGETHER))

    caller = world.submit(b"")
    world.step()

    assert caller.outcome == b""
    assert world.handler.runs == []


def test_what_came_meanwhile_runs_together():
    world = World(NumbersHandler(TOGETHER))

    callers = [world.submit(b"%d" % number) for number in (5, 6, 7)]
    world.step()

    assert [caller.outcome for caller in callers] == [b"-5", b"-6", b"-7"]
    assert world.handler.runs == [[5, 6, 7]]
    assert callers[0].tickets[0].batch_size == 3


def test_a_thread_that_takes_one_at_a_time_leaves_the_rest_to_others():
    world = World(NumbersHandler(BatchLimit(inputs=1, runs=2)))
    callers = [world.submit(b"1"), world.submit(b"2")]

    world.step(worker=0)
    assert [caller.outcome for caller in callers] == [b"-1", None]
    world.step(worker=1)

    assert [caller.outcome for caller in callers] == [b"-1", b"-2"]


def test_nothing_is_delivered_before_the_event_loop_runs():
    world = World(NumbersHandler())
    caller = world.submit(b"1")

    world.workers[0].step()

    assert (caller.outcome, world.batcher.in_flight) == (None, 1)


def test_a_giant_request_does_not_starve_others():
    world = World(NumbersHandler(TOGETHER))
    world.handler.before_run = lambda _: world.clock.advance(0.02)
    giant = world.submit(b"9 " * 400)
    world.step()

    small = world.submit(b"9")
    world.step(5)  # its first four inputs were due before the small one came

    assert small.outcome == b"-9"
    assert giant.outcome is None
    world.step(95)
    assert giant.outcome == b" ".join([b"-9"] * 400)


# --- Too much -------------------------------------------------------------------


def test_a_full_queue_refuses_at_once():
    world = World(NumbersHandler(), requests=2)
    world.submit(b"1")
    world.submit(b"2")

    with pytest.raises(OverloadedError, match="2 requests are before this one") as refusal:
        world.submit(b"3")

    assert refusal.value.retry_after_s == 1
    world.step()
    world.submit(b"3")


def measure(world: World, cost_s: float) -> None:
    """Let the batcher find out that a request takes so long."""
    before_run = world.handler.before_run

    def take(inputs: Sequence[int]) -> None:
        world.clock.advance(cost_s)
        before_run(inputs)

    world.handler.before_run = take
    for _ in range(40):
        world.submit(b"1")
        world.step()


def count_accepted(world: World) -> int:
    """How many are let in before the first is refused."""
    for number in range(100):
        try:
            world.submit(b"1")
        except OverloadedError:
            return number
    raise AssertionError("all were let in")


def test_what_would_wait_for_half_its_deadline_is_refused_with_the_time_to_wait():
    world = World(NumbersHandler(), timeout_s=60.0)
    measure(world, 2.0)
    assert count_accepted(world) == 15

    with pytest.raises(OverloadedError, match="15 requests are before this one") as refusal:
        world.submit(b"1")

    assert refusal.value.retry_after_s == 2


def test_two_runs_halve_the_time_to_wait():
    world = World(NumbersHandler(BatchLimit(runs=2)), timeout_s=60.0)
    measure(world, 2.0)

    assert count_accepted(world) == 30


def test_requests_that_fail_cost_time_too():
    world = World(NumbersHandler(before_run=poison(1)), timeout_s=60.0)
    measure(world, 2.0)

    assert count_accepted(world) == 15


def test_a_handler_that_is_always_slow_is_not_refused_for_ever():
    world = World(NumbersHandler(), timeout_s=60.0)
    measure(world, 50.0)

    assert count_accepted(world) == 1
    world.step()
    assert count_accepted(world) == 1


def test_one_slow_request_among_quick_ones_refuses_nobody_for_long():
    world = World(NumbersHandler(), timeout_s=60.0)
    world.handler.before_run = lambda inputs: world.clock.advance(50.0 if 50 in inputs else 0.01)
    for body in (b"50", *[b"1"] * 40):
        world.submit(body)
        world.step()

    for _ in range(100):
        world.submit(b"1")


# --- Too late -------------------------------------------------------------------


def test_a_request_over_its_deadline_is_answered_504_and_not_run():
    world = World(NumbersHandler(), timeout_s=60.0)
    caller = world.submit(b"1")

    world.clock.advance(59.9)
    world.batcher.sweep()
    assert caller.outcome is None
    world.clock.advance(0.2)
    world.batcher.sweep()
    world.step()

    assert caller.outcome == 504
    assert world.handler.runs == []
    assert world.batcher.in_flight == 0


def test_a_result_that_comes_after_its_504_is_thrown_away():
    world = World(NumbersHandler(), timeout_s=0.5)

    def be_late(_: Sequence[int]) -> None:
        world.clock.advance(0.6)
        world.batcher.sweep()

    world.handler.before_run = be_late
    caller = world.submit(b"1")
    world.step()

    assert caller.outcome == 504
    assert world.handler.runs == [[1]]


def test_inputs_of_a_request_that_is_over_are_not_run():
    world = World(NumbersHandler(TOGETHER), timeout_s=10.0)
    world.handler.before_run = lambda _: world.clock.advance(6.0)
    late = world.submit(b"1 2 3 4 5 6 7 8 9 10 11 12")
    world.step(2)
    assert late.outcome is None

    world.batcher.sweep()
    other = world.submit(b"40")
    world.step()

    assert (late.outcome, other.outcome) == (504, b"-40")
    assert world.handler.runs[2:] == [[40]]


def test_a_handler_that_takes_one_input_at_a_time_stops_when_the_request_is_over():
    world = World(NumbersHandler(), timeout_s=10.0)

    def take_long(_: Sequence[int]) -> None:
        world.clock.advance(0.9)
        world.batcher.sweep()

    world.handler.before_run = take_long
    caller = world.submit(b"1 " * 100)
    world.step()

    assert caller.outcome == 504
    assert len(world.handler.runs) == 12
    assert len(world.workers) == 1  # each call was short: the thread did not hang


# --- Callers that go ------------------------------------------------------------


def test_a_caller_that_is_gone_frees_its_place_and_is_not_run():
    world = World(NumbersHandler(), requests=1)
    gone = world.submit(b"1")
    world.batcher.cancel(world.ticket)

    caller = world.submit(b"2")
    world.step(2)

    assert (gone.outcome, caller.outcome) == (None, b"-2")
    assert world.handler.runs == [[2]]


def test_a_caller_that_goes_while_it_is_run_gets_nothing():
    world = World(NumbersHandler())
    world.handler.before_run = lambda _: world.batcher.cancel(world.ticket)
    caller = world.submit(b"1")
    world.step()

    assert (caller.outcome, world.batcher.in_flight) == (None, 0)


def test_cancelling_twice_or_after_the_answer_does_no_harm():
    world = World(NumbersHandler())
    caller = world.submit(b"1")
    world.step()

    world.batcher.cancel(world.ticket)
    world.batcher.cancel(world.ticket)

    assert caller.outcome == b"-1"


def test_the_body_of_a_request_that_is_over_is_not_kept():
    world = World(NumbersHandler(), timeout_s=1.0)
    world.submit(b"1")
    gone = world.ticket
    world.batcher.cancel(gone)
    late = world.submit(b"2")
    world.clock.advance(2.0)
    world.batcher.sweep()

    # No thread has looked at them yet.
    assert gone.invocation.body == late.tickets[0].invocation.body == b""
    assert late.tickets[0].invocation.request_id == "2"


# --- Failing --------------------------------------------------------------------


def poison(number: int) -> Callable[[Sequence[int]], None]:
    def fail(inputs: Sequence[int]) -> None:
        if number in inputs:
            raise ValueError(f"cannot digest {number}")

    return fail


def test_a_poisoned_input_fails_alone():
    world = World(NumbersHandler(TOGETHER, before_run=poison(13)))
    callers = [world.submit(b"12"), world.submit(b"13"), world.submit(b"14 15")]

    world.step(5)

    assert [caller.outcome for caller in callers] == [b"-12", 500, b"-14 -15"]
    assert world.handler.runs == [[12, 13, 14, 15], [12], [13], [14], [15]]


@pytest.mark.parametrize("stage", ["before_open", "before_run", "before_finish"])
def test_what_the_handler_refuses_is_told_to_the_caller(stage: str):
    class TeapotError(RequestError):
        status = 418

    def refuse(_: object) -> None:
        raise TeapotError("no coffee")

    world = World(NumbersHandler(**{stage: refuse}))
    caller = world.submit(b"1")
    world.step()

    assert caller.outcome == 418
    assert caller.tickets[0].error
    assert caller.tickets[0].error.message == "no coffee"


@pytest.mark.parametrize("error", [FatalError("weights are gone"), RuntimeError("CUDA error: x")])
def test_a_fatal_error_is_noted(error: Exception):
    def fail(_: Sequence[int]) -> None:
        raise error

    world = World(NumbersHandler(TOGETHER, before_run=fail))
    callers = [world.submit(b"1"), world.submit(b"2")]
    world.step()

    assert [caller.outcome for caller in callers] == [500, 500]
    assert world.batcher.fault is not None
    assert world.handler.runs == [[1, 2]]  # nobody is run again


def test_no_caller_can_make_an_error_look_fatal():
    def fail(_: object) -> None:
        raise ValueError("invalid literal for int() with base 10: 'CUDA error'")

    world = World(NumbersHandler(before_run=fail))
    world.submit(b"1")
    world.step()

    assert world.batcher.fault is None


# --- Streams --------------------------------------------------------------------


def chunks(*parts: bytes | Exception) -> Callable[[], Iterator[bytes]]:
    def make() -> Iterator[bytes]:
        for part in parts:
            if isinstance(part, Exception):
                raise part
            yield part

    return make


def test_a_stream_counts_until_it_ends():
    seen: list[int] = []
    world = World(NumbersHandler())

    def stream() -> Iterator[bytes]:
        yield b"a"
        world.loop.run()
        seen.append(world.batcher.in_flight)
        yield b"b"

    world.handler.stream = stream
    caller = world.submit(b"1")
    world.step()

    assert caller.events == ["start", b"a", b"b", "complete"]
    assert (seen, world.batcher.in_flight) == ([1], 0)
    assert len(caller.tickets) == 1


def test_a_stream_over_its_time_is_given_up():
    world = World(NumbersHandler(), stream_timeout_s=480.0)

    def stream() -> Iterator[bytes]:
        while True:
            yield b"more"
            world.clock.advance(0.9)  # never long enough in one call to hang
            world.batcher.sweep()
            if world.ticket.is_over:
                return

    world.handler.stream = stream
    caller = world.submit(b"1")
    world.step()

    [ticket] = caller.tickets
    assert ticket.error is not None
    assert ticket.error.status == 504
    assert 480 <= caller.events.count(b"more") * 0.9 <= 482
    assert len(world.workers) == 1


def test_a_stream_may_last_longer_than_an_answer():
    world = World(NumbersHandler(), timeout_s=1.0)

    def stream() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x"
            world.clock.advance(100.0)
            world.batcher.sweep()

    world.handler.stream = stream
    caller = world.submit(b"1")
    world.step()

    assert caller.events == ["start", b"x", b"x", b"x", "complete"]


def test_a_stream_that_is_too_late_to_begin_does_not():
    world = World(NumbersHandler(), timeout_s=1.0)
    world.submit(b"1")
    world.clock.advance(2.0)
    world.batcher.sweep()

    assert not world.batcher.begin_stream(world.ticket)
    assert world.batcher.in_flight == 0


# --- Hanging threads ------------------------------------------------------------


def hang(world: World) -> Callable[[object], None]:
    """While the handler is in its call, time passes and the event loop sweeps."""

    def wait(_: object) -> None:
        world.clock.advance(61.0)
        world.batcher.sweep()

    return wait


@pytest.mark.parametrize("stage", ["before_open", "before_run", "before_finish"])
def test_a_thread_that_hangs_is_left_behind_and_replaced(
    stage: str, caplog: pytest.LogCaptureFixture
):
    world = World(NumbersHandler(TOGETHER))
    setattr(world.handler, stage, hang(world))
    stuck = world.submit(b"1")
    with pytest.raises(LeftBehindError):
        world.step()
    setattr(world.handler, stage, lambda _: None)
    world.loop.run()

    caller = world.submit(b"2")
    world.step(worker=1)

    assert (stuck.outcome, caller.outcome) == (504, b"-2")
    assert "a prediction hangs" in caplog.text
    assert world.batcher.fault is None


def test_a_batch_hangs_only_when_nobody_waits_for_it():
    world = World(NumbersHandler(TOGETHER), timeout_s=60.0)

    def take_half_a_minute(_: Sequence[int]) -> None:
        world.clock.advance(31.0)
        world.batcher.sweep()

    world.handler.before_run = take_half_a_minute
    old = world.submit(b"1")
    world.clock.advance(30.0)
    young = world.submit(b"2")
    world.step()

    assert (old.outcome, young.outcome) == (504, b"-2")
    assert len(world.workers) == 1


def test_threads_left_behind_that_have_ended_are_no_fault():
    world = World(NumbersHandler())
    world.handler.before_run = hang(world)
    for number in range(6):
        world.submit(b"1")
        with pytest.raises(LeftBehindError):
            world.step(worker=number)

    assert world.batcher.fault is None
    assert len(world.workers) == 7


class StuckHandler(NumbersHandler):
    """Hangs outside of Python's reach until it is let go."""

    def __init__(self, release: threading.Event, limit: BatchLimit) -> None:
        super().__init__(limit)
        self._release = release
        self.calls = 0

    def run(self, inputs: Sequence[int]) -> Sequence[int]:
        self.calls += 1
        self._release.wait()
        return inputs


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def test_four_threads_that_hang_for_good_are_a_fault():
    release, clock = threading.Event(), Clock()
    handler = StuckHandler(release, BatchLimit())
    batcher = Batcher(handler, call_soon=Loop().call_soon, limit=QueueLimit(), clock=clock)
    callers = []
    for number in range(1, 5):
        assert batcher.fault is None
        callers.append(Caller())
        batcher.submit(Invocation(b"1"), callers[-1])
        eventually(lambda number=number: handler.calls == number)
        clock.advance(61.0)
        batcher.sweep()

    assert batcher.fault == "4 predictions hang"
    assert [caller.outcome for caller in callers] == [504] * 4
    release.set()
    batcher.close()


@pytest.mark.parametrize("swallows", [False, True])
def test_an_endless_loop_is_ended(swallows: bool, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    clock, loop = Clock(), Loop()
    running = threading.Event()
    rounds: list[int] = []

    def spin(_: Sequence[int]) -> None:
        running.set()
        try:
            while True:
                rounds.append(1)
        except BaseException:
            if not swallows:
                raise

    handler = NumbersHandler(before_run=spin)
    batcher = Batcher(handler, call_soon=loop.call_soon, limit=QueueLimit(), clock=clock)
    caller = Caller()
    batcher.submit(Invocation(b"1"), caller)
    assert running.wait(10)
    clock.advance(61.0)
    batcher.sweep()

    eventually(lambda: "has come to its end" in caplog.text)
    handler.before_run = lambda _: None
    other = Caller()
    batcher.submit(Invocation(b"2"), other)
    batcher.close()
    loop.run()
    assert (caller.outcome, other.outcome) == (504, b"-2")


# --- The end --------------------------------------------------------------------


def test_stopping_answers_503_to_whatever_is_in_flight():
    world = World(NumbersHandler())
    callers = [world.submit(b"1"), world.submit(b"2")]
    world.batcher.begin_stream(world.ticket)

    world.batcher.stop()

    assert [caller.outcome for caller in callers] == [503, 503]
    assert world.batcher.in_flight == 0


@pytest.mark.parametrize("limit", [BatchLimit(runs=3), BatchLimit(inputs=4, runs=3)])
def test_closing_finishes_what_is_in_flight_and_ends_every_thread(limit: BatchLimit):
    loop, handler = Loop(), NumbersHandler(limit)
    before = threading.active_count()
    batcher = Batcher(handler, call_soon=loop.call_soon, limit=QueueLimit())
    callers = [Caller() for _ in range(50)]
    for caller in callers:
        batcher.submit(Invocation(b"1 2"), caller)

    began = time.monotonic()
    batcher.close()
    loop.run()

    assert {caller.outcome for caller in callers} == {b"-1 -2"}
    assert handler.is_closed
    assert threading.active_count() == before
    assert time.monotonic() - began < 5


def test_nothing_refers_to_a_request_that_was_answered():
    class Headers(dict[str, str]):
        """Unlike bytes it can be referred to weakly."""

    loop = Loop()
    batcher = Batcher(NumbersHandler(TOGETHER), call_soon=loop.call_soon, limit=QueueLimit())
    callers = [Caller(), Caller()]
    kept = []
    for caller in callers:
        headers = Headers()
        kept.append(weakref.ref(headers))
        batcher.submit(Invocation(b"1 2", headers=headers), caller)

    def is_answered() -> bool:
        loop.run()
        return all(caller.tickets for caller in callers)

    eventually(is_answered)
    del headers, caller, callers[:]

    def is_forgotten() -> bool:
        gc.collect()
        return all(headers() is None for headers in kept)

    eventually(is_forgotten)
    batcher.close()


# --- With real threads ----------------------------------------------------------

REQUESTS = st.lists(st.lists(st.integers(1, 20), max_size=6), min_size=1, max_size=40)


@given(st.integers(1, 5), st.integers(1, 3), REQUESTS)
def test_each_request_is_answered_once_whatever_the_threads_do(
    inputs: int, runs: int, requests: list[list[int]]
):
    """13 is poison; the batches are small, so that threads share requests."""
    loop = Loop()
    handler = NumbersHandler(BatchLimit(inputs=inputs, tokens=40, runs=runs), before_run=poison(13))
    logging.disable(logging.CRITICAL)
    try:
        batcher = Batcher(handler, call_soon=loop.call_soon, limit=QueueLimit())
        callers = [Caller(batcher) for _ in requests]
        for numbers, caller in zip(requests, callers, strict=True):
            batcher.submit(Invocation(" ".join(map(str, numbers)).encode()), caller)
        batcher.close()
        loop.run()
    finally:
        logging.disable(logging.NOTSET)

    for numbers, caller in zip(requests, callers, strict=True):
        expected = " ".join(str(-number) for number in numbers).encode()
        assert caller.outcome == (500 if 13 in numbers else expected)
    assert batcher.in_flight == 0


def test_short_streams_beside_whole_answers_lose_nothing():
    """A stream that ends at once must not be overtaken by its own end."""
    loop = Loop()

    class MixedHandler(NumbersHandler):
        def open(self, invocation: Invocation) -> Job:
            is_stream = invocation.body == b"2"

            def finish(outputs: Sequence[int]) -> Answer:
                body = iter([b"x", b"y"]) if is_stream else b"whole"
                return Answer(body=body, content_type="text/plain")

            return Job(inputs=[1], sizes=[1], finish=finish)

    batcher = Batcher(
        MixedHandler(BatchLimit(runs=2)), call_soon=loop.call_soon, limit=QueueLimit()
    )
    callers = [Caller(batcher) for _ in range(200)]
    for number, caller in enumerate(callers):
        batcher.submit(Invocation(b"2" if number % 2 else b"1"), caller)
    batcher.close()
    loop.run()

    assert all(caller.outcome == b"whole" for caller in callers[::2])
    assert all(caller.events == ["start", b"x", b"y", "complete"] for caller in callers[1::2])
    assert all(len(caller.tickets) == 1 for caller in callers)
