"""Requests in, answers out: the queue in front of a handler, its threads, and the deadlines.

    event loop   submit     room, and time enough?     else 429 at once, with Retry-After
                   │ backlog
    threads      open ─▶ schedule ─▶ run ─▶ finish     (worker)
                   │ finished
    event loop   deliver

A thread takes work as soon as it is free and never waits for more to come: at
low load a request is alone in its batch, at high load batches grow by themselves.

A request that is over its deadline gets a 504. If it was its thread that hung,
the thread is left behind and another one takes its place; an instance that has
left several behind calls itself unhealthy, so that the platform replaces it.

Everything here but `_hand_over` and `_note_fault` is called in the event loop.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside import contract
from portside.serving.backlog import Backlog
from portside.serving.error import OverloadedError, RequestError, StoppedError, TimedOutError
from portside.serving.ticket import Reply, Ticket
from portside.serving.worker import Worker

if TYPE_CHECKING:
    from portside.serving.invocation import Handler, Invocation

_MAX_LEFT_BEHIND: Final = 4
"""Threads that may hang before the instance is given up: each holds memory, and maybe a core."""

_HANGS_AFTER_S: Final = 1.0
"""How long a call must have lasted to be hanging: a thread that works through the many inputs of
a request that is over is in a call of a few milliseconds, and finds out by itself."""

_SHARE_OF_DEADLINE: Final = 0.5
"""How much of its deadline a request may be expected to wait. First in, first out keeps everyone at
the limit under overload: at the whole deadline half of the requests would be answered too late, and
the work on them lost."""

_SMOOTHING: Final = 0.1
"""Weight of the newest request in the mean time that one takes."""

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimit:
    """How many requests wait, and for how long."""

    requests: int = 1024
    """Most requests that wait or run."""
    timeout_s: float = contract.INVOCATION_TIMEOUT_S
    """From the arrival of a request to its answer, or to the first chunk of it."""
    stream_timeout_s: float = contract.STREAM_TIMEOUT_S
    """From the first chunk to the last."""


class Batcher:
    """Runs one handler; `call_soon` hands a call over from a thread to the event loop.

    `start` sets a worker to work, in its thread unless a test steps it by hand.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        call_soon: Callable[[Callable[[], None]], object],
        limit: QueueLimit,
        clock: Callable[[], float] = time.perf_counter,
        start: Callable[[Worker], None] = Worker.start,
    ) -> None:
        self._handler = handler
        self._call_soon = call_soon
        self._limit = limit
        self._clock = clock
        self._start = start
        self._runs = handler.batch_limit.runs
        self._backlog = Backlog(handler.batch_limit)
        self._in_flight: dict[Ticket, None] = {}
        """Until answered, or until the answer begins to stream; in the order of deadlines."""
        self._streaming: set[Ticket] = set()
        self._finished: deque[Ticket] = deque()
        self._delivery_is_due = False
        self._mean_cost_s = 0.0
        self._fault: str | None = None
        self._numbers = itertools.count()
        self._workers = [self._hire() for _ in range(self._runs)]
        self._left_behind: list[Worker] = []

    @property
    def in_flight(self) -> int:
        """Requests that wait, run or stream."""
        return len(self._in_flight) + len(self._streaming)

    @property
    def fault(self) -> str | None:
        """Why the handler cannot go on, if so."""
        return self._fault

    def submit(self, invocation: Invocation, reply: Reply) -> Ticket:
        """Take a request; its outcome is delivered to `reply`, unless it is cancelled.

        Raises OverloadedError at once if the queue is full, or if the answer
        would come after the deadline.
        """
        waiting = len(self._in_flight)
        wait_s = (waiting + 1) * self._mean_cost_s / self._runs
        late_s = wait_s - _SHARE_OF_DEADLINE * self._limit.timeout_s
        # Where a thread is free, a handler that is always slow is let try again.
        is_late = late_s > 0 and waiting >= self._runs
        if waiting >= self._limit.requests or is_late:
            raise OverloadedError(
                f"{waiting} requests are before this one, more than can be answered in time",
                retry_after_s=max(1, math.ceil(late_s)),
            )
        now = self._clock()
        ticket = Ticket(invocation, reply, now, now + self._limit.timeout_s)
        self._in_flight[ticket] = None
        self._backlog.put(ticket)
        return ticket

    def begin_stream(self, ticket: Ticket) -> bool:
        """Its answer begins; False if that is too late, because it is over."""
        if ticket.is_over:
            return False
        del self._in_flight[ticket]
        ticket.is_streamed = True
        ticket.deadline = self._clock() + self._limit.stream_timeout_s
        self._streaming.add(ticket)
        return True

    def end_stream(self, ticket: Ticket) -> None:
        """Its answer has ended, complete or not."""
        self._conclude(ticket)

    def cancel(self, ticket: Ticket) -> None:
        """The caller is gone: what has not begun will not, and its place is free."""
        self._remove(ticket)
        _forget_body(ticket)

    def sweep(self) -> None:
        """Give up what is over its deadline; to be called several times a second."""
        now = self._clock()
        late = itertools.takewhile(lambda ticket: ticket.deadline <= now, self._in_flight)
        for ticket in list(late):
            text = f"the handler did not answer within {self._limit.timeout_s:g} s"
            self._give_up(ticket, TimedOutError(text))
        for ticket in [ticket for ticket in self._streaming if ticket.deadline <= now]:
            text = f"the answer did not end within {self._limit.stream_timeout_s:g} s"
            self._give_up(ticket, TimedOutError(text))
        for worker in list(self._workers):
            if worker.leave_behind(now, after_s=_HANGS_AFTER_S):
                self._replace(worker)

    def stop(self) -> None:
        """Answer 503 to whatever is still in flight; its threads are left to themselves."""
        for ticket in [*self._in_flight, *self._streaming]:
            text = "the instance was stopped before the prediction ended"
            self._give_up(ticket, StoppedError(text))

    def close(self) -> None:
        """End the threads and close the handler; waits for what is in flight. Blocks."""
        self._backlog.close()
        for worker in self._workers:
            worker.join(self._limit.timeout_s)
        self._handler.close()

    def _remove(self, ticket: Ticket) -> None:
        ticket.is_over = True
        self._in_flight.pop(ticket, None)
        self._streaming.discard(ticket)

    def _give_up(self, ticket: Ticket, error: RequestError) -> None:
        ticket.error = error
        self._remove(ticket)
        ticket.reply.deliver(ticket)
        _forget_body(ticket)

    # --- Threads --------------------------------------------------------------------

    def _hire(self) -> Worker:
        worker = Worker(
            self._handler,
            self._backlog,
            name=f"handler-{next(self._numbers)}",
            deliver=self._hand_over,
            on_fault=self._note_fault,
            stream_timeout_s=self._limit.stream_timeout_s,
            clock=self._clock,
        )
        self._start(worker)
        return worker

    def _replace(self, worker: Worker) -> None:
        _logger.error("a prediction hangs: its thread is left behind, another takes its place")
        self._left_behind = [other for other in self._left_behind if other.is_alive]
        self._left_behind.append(worker)
        if len(self._left_behind) >= _MAX_LEFT_BEHIND:
            self._note_fault(f"{_MAX_LEFT_BEHIND} predictions hang")
        self._workers[self._workers.index(worker)] = self._hire()

    def _note_fault(self, fault: str) -> None:
        self._fault = fault
        _logger.critical("the instance has to be replaced: %s", fault)

    def _hand_over(self, ticket: Ticket) -> None:
        """In a thread: a ticket has its outcome. Many of them share one call to the event loop."""
        self._finished.append(ticket)
        if not self._delivery_is_due:
            self._delivery_is_due = True
            self._call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivery_is_due = False
        while self._finished:
            self._conclude(self._finished.popleft())

    def _conclude(self, ticket: Ticket) -> None:
        # A 504 may have been faster, or the caller be gone.
        if not ticket.is_over:
            self._remove(ticket)
            self._mean_cost_s += _SMOOTHING * (ticket.cost_s - self._mean_cost_s)
            ticket.reply.deliver(ticket)


def _forget_body(ticket: Ticket) -> None:
    """Its memory is free from now on, even if it waits for a thread to find that it is over."""
    ticket.invocation = ticket.invocation._replace(body=b"")
