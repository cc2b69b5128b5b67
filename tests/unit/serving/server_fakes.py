"""The world around the server's parts, in one thread: a clock, an event loop, a handler.

Nothing here waits: a test moves the clock, steps the workers, and lets the event
loop run what was handed over to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from portside.serving.batcher import Batcher, QueueLimit
from portside.serving.error import CallerGoneError
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job
from portside.serving.ticket import Ticket
from portside.serving.worker import Worker


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Loop:
    """Keeps what is handed over to the event loop until it is run."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()

    def call_soon(self, function: Callable[[], None]) -> None:
        self._calls.append(function)

    def run(self) -> None:
        while self._calls:
            self._calls.popleft()()


def _nothing(_: Any) -> None:
    pass


@dataclass
class NumbersHandler:
    """Answers `1 2 3` with `-1 -2 -3`; an input's size is its value.

    `before_open`, `before_run` and `before_finish` are called inside the call of
    that name, and may raise or let time pass. `stream` makes the chunks of an answer.
    """

    batch_limit: BatchLimit = field(default_factory=BatchLimit)
    before_open: Callable[[Invocation], None] = _nothing
    before_run: Callable[[Sequence[int]], None] = _nothing
    before_finish: Callable[[Sequence[int]], None] = _nothing
    stream: Callable[[], Iterator[bytes]] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    runs: list[list[int]] = field(default_factory=list)
    is_closed: bool = False

    def open(self, invocation: Invocation) -> Job:
        self.before_open(invocation)
        numbers = [int(word) for word in invocation.body.split()]
        return Job(inputs=numbers, sizes=numbers, finish=self._finish)

    def run(self, inputs: Sequence[int]) -> Sequence[int]:
        self.runs.append(list(inputs))
        self.before_run(inputs)
        return [-number for number in inputs]

    def _finish(self, outputs: Sequence[int]) -> Answer:
        self.before_finish(outputs)
        body = self.stream() if self.stream else " ".join(map(str, outputs)).encode()
        return Answer(body=body, content_type="text/plain", headers=self.headers)

    def close(self) -> None:
        self.is_closed = True


class FakeStream:
    """Collects chunks; `gone_after` of them nobody reads any more."""

    def __init__(self, caller: Caller, batcher: Batcher | None) -> None:
        self._caller = caller
        self._batcher = batcher

    def start(self, ticket: Ticket, answer: Answer) -> None:
        self._caller.events.append("start")
        if self._batcher is not None:
            self._batcher.begin_stream(ticket)

    def send(self, chunk: bytes) -> None:
        if self._caller.gone_after == 0:
            raise CallerGoneError("nobody waits for it any more")
        self._caller.gone_after -= 1
        self._caller.events.append(chunk)

    def end(self, ticket: Ticket, *, is_complete: bool) -> None:
        self._caller.events.append("complete" if is_complete else "broken")
        if self._batcher is not None:
            self._batcher.end_stream(ticket)


class Caller:
    """Who waits for an answer; remembers what came."""

    def __init__(self, batcher: Batcher | None = None, *, gone_after: int = -1) -> None:
        self._batcher = batcher
        self.gone_after = gone_after
        self.tickets: list[Ticket] = []
        """Each delivery; more than one would be a fault."""
        self.events: list[str | bytes] = []

    def deliver(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)

    def open_stream(self) -> FakeStream:
        return FakeStream(self, self._batcher)

    @property
    def outcome(self) -> bytes | int | None:
        """The body, the status of the error, or None so long as there is neither."""
        if not self.tickets:
            return None
        [ticket] = self.tickets
        if ticket.error is not None:
            return ticket.error.status
        assert ticket.answer is not None
        assert isinstance(ticket.answer.body, bytes)
        return ticket.answer.body


class World:
    """A batcher whose workers are stepped by hand."""

    def __init__(self, handler: NumbersHandler, **limit: Any) -> None:
        self.handler = handler
        self.clock = Clock()
        self.loop = Loop()
        self.workers: list[Worker] = []
        self.batcher = Batcher(
            handler,
            call_soon=self.loop.call_soon,
            limit=QueueLimit(**limit),
            clock=self.clock,
            start=self.workers.append,
        )

    def submit(self, body: bytes, *, gone_after: int = -1) -> Caller:
        """A request that is let in; what `submit` of the batcher raises is raised."""
        caller = Caller(self.batcher, gone_after=gone_after)
        self.ticket = self.batcher.submit(Invocation(body, request_id=body.decode()), caller)
        return caller

    def step(self, times: int = 1, *, worker: int = 0) -> None:
        """Let a worker take its next batch, and the event loop deliver what came of it.

        There has to be something for it: it would wait.
        """
        for _ in range(times):
            self.workers[worker].step()
            self.loop.run()
