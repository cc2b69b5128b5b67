"""A thread that runs the handler: opens requests, runs batches, finishes answers.

    open        decode, tokenize        the request's own errors; anything else is a 500
    run         a batch of inputs       if it fails, each of its inputs is run alone
    finish      encode, or stream       each chunk is sent as soon as it is made

Python cannot end a thread from outside. One whose call of the handler hangs is
left behind: it is told to raise at its next line of Python, and whatever it
still makes is thrown away. The batcher starts another in its place. A thread is
left behind only inside such a call, so it never holds what others need.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from portside.serving import log
from portside.serving.error import (
    FatalError,
    PredictionFailedError,
    RequestError,
)
from portside.serving.ticket import Ticket

if TYPE_CHECKING:
    from portside.serving.backlog import Backlog
    from portside.serving.invocation import Answer, Handler, Job
    from portside.serving.schedule import Entry

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_logger: Final = logging.getLogger(__name__)


class LeftBehindError(BaseException):
    """Raised inside a thread that was left behind, wherever it is; not for handlers to catch."""


class Worker:
    """One thread on one handler; `deliver` hands a ticket with its outcome to the event loop."""

    def __init__(
        self,
        handler: Handler,
        backlog: Backlog,
        *,
        name: str,
        deliver: Callable[[Ticket], None],
        on_fault: Callable[[str], None],
        stream_timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._handler = handler
        self._takes_one = handler.batch_limit.inputs == 1
        self._backlog = backlog
        self._deliver = deliver
        self._on_fault = on_fault
        self._stream_timeout_s = stream_timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        """Between the end of a call and the decision that it hangs."""
        self._busy_since: float | None = None
        """The begin of the call of the handler that it is in."""
        self._expires = 0.0
        """When nobody waits any more for that call."""
        self._is_left_behind = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait until it has found the backlog closed."""
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether it has not come to its end, left behind or not."""
        return self._thread.is_alive()

    def leave_behind(self, now: float, *, after_s: float) -> bool:
        """Give it up if it is in a call that nobody waits for any more, and has been for a while.

        It is made to raise as soon as it is back in Python.
        """
        with self._lock:
            since = self._busy_since
            if since is None or now < self._expires or now - since < after_s:
                return False
            self._is_left_behind = True
            if self._thread.ident is not None:
                identifier = ctypes.c_ulong(self._thread.ident)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    identifier, ctypes.py_object(LeftBehindError)
                )
        return True

    def _work(self) -> None:
        try:
            while self.step():
                pass
        except LeftBehindError:
            _logger.info("a thread that was left behind has come to its end")
        except Exception as error:
            # Ours, not the handler's. Without the thread the instance would look healthy, and
            # answer nobody.
            _logger.exception("a thread of the batcher broke")
            self._on_fault(f"a thread broke: {type(error).__name__}: {error}")

    def step(self) -> bool:
        """Open what came in and run a batch; False once there is nothing and will be nothing."""
        tickets = self._backlog.take_tickets()
        for ticket in tickets:
            self._open(ticket)
        batch = [] if self._takes_one else self._backlog.take_batch()
        if batch:
            self._run(batch)
        log.current.set(())
        return bool(tickets or batch) or not self._backlog.is_closed

    # --- The three stages -----------------------------------------------------------

    def _open(self, ticket: Ticket) -> None:
        if ticket.is_over:
            return
        started = self._begin((ticket,), expires=ticket.deadline)
        ticket.queue_s = started - ticket.arrived
        try:
            job = self._guarded(self._handler.open, ticket.invocation, started)
        except RequestError as error:
            self._fail(ticket, error)
            return
        ticket.decode_s = self._clock() - started
        ticket.job = job
        ticket.tokens = sum(job.sizes)
        if self._takes_one:
            self._run_alone(ticket, job)
        elif job.inputs:
            ticket.missing = len(job.inputs)
            ticket.outputs = [None] * ticket.missing
            self._backlog.add(ticket, job.sizes)
        else:
            self._finish(ticket, self._clock())

    def _run_alone(self, ticket: Ticket, job: Job) -> None:
        """For a handler that takes one input at a time, and so has nothing to choose from."""
        started = ended = self._clock()
        try:
            for value in job.inputs:
                if ticket.is_over:
                    return
                ticket.outputs += self._run_handler([value], ended)
                ended = self._clock()
        except RequestError as error:
            ticket.cost_s = self._clock() - started
            self._fail(ticket, error)
            return
        ticket.predict_s = ticket.cost_s = ended - started
        ticket.batch_size = 1
        self._finish(ticket, ended)

    def _run(self, batch: list[Entry]) -> None:
        owners = list(dict.fromkeys(entry.owner for entry in batch))
        started = self._begin(owners, expires=max(ticket.deadline for ticket in owners))
        try:
            inputs = [entry.owner.job.inputs[entry.index] for entry in batch]
            outputs = self._run_handler(inputs, started)
        except RequestError as error:
            for ticket in owners:
                ticket.cost_s += (self._clock() - started) / len(owners)
            self._retry_or_fail(batch, error)
            return
        elapsed_s = self._clock() - started
        for ticket in owners:
            if not ticket.batch_size:
                ticket.queue_s = started - ticket.arrived - ticket.decode_s
        for ticket in self._backlog.settle(batch, outputs, elapsed_s=elapsed_s):
            self._finish(ticket, self._begin((ticket,), expires=ticket.deadline))

    def _retry_or_fail(self, batch: list[Entry], error: RequestError) -> None:
        """One input may have spoiled the batch for the others."""
        if len(batch) > 1 and not isinstance(error, FatalError):
            self._backlog.add_alone(batch)
            return
        for entry in batch:
            self._fail(entry.owner, error)

    def _finish(self, ticket: Ticket, started: float) -> None:
        if ticket.is_over or ticket.job is None:
            return
        try:
            answer = self._guarded(ticket.job.finish, ticket.outputs, started)
        except RequestError as error:
            self._fail(ticket, error)
            return
        ticket.answer = answer
        if isinstance(answer.body, bytes):
            ticket.encode_s = self._clock() - started
            ticket.cost_s += ticket.decode_s + ticket.encode_s
            self._deliver(ticket)
        else:
            self._stream(ticket, answer, answer.body)

    def _stream(self, ticket: Ticket, answer: Answer, chunks: Iterator[bytes]) -> None:
        """Send chunk by chunk; a fault before the first is still answered with its status."""
        started = self._clock()
        try:
            chunk = self._guarded(_next, chunks, started)
            stream = ticket.reply.open_stream()
            stream.start(ticket, answer)
        except RequestError as error:
            self._close_chunks(chunks)
            self._fail(ticket, error)
            return
        self._expires = self._clock() + self._stream_timeout_s
        is_complete = False
        try:
            while chunk is not None:
                stream.send(chunk)
                chunk = self._guarded(_next, chunks, self._clock())
            is_complete = True
        except RequestError as error:
            ticket.error = error
            self._close_chunks(chunks)
        finally:
            ticket.encode_s = self._clock() - started
            ticket.cost_s += ticket.decode_s + ticket.encode_s
            stream.end(ticket, is_complete=is_complete)

    def _close_chunks(self, chunks: Iterator[bytes]) -> None:
        """Let a generator that is not at its end give back what it holds."""
        if isinstance(chunks, Generator):
            with suppress(RequestError):  # in the log already
                self._guarded(_close, chunks, self._clock())

    # --- Around each call of the handler ----------------------------------------------

    def _begin(self, tickets: Sequence[Ticket], *, expires: float) -> float:
        """Note for whom the thread is about to work, for the log and for the deadlines."""
        log.current.set(tickets)
        self._expires = expires
        return self._clock()

    def _run_handler(self, inputs: Sequence[Any], started: float) -> Sequence[Any]:
        outputs = self._guarded(self._handler.run, inputs, started)
        if len(outputs) != len(inputs):
            raise PredictionFailedError(
                f"the handler gave {len(outputs)} results for {len(inputs)} inputs"
            )
        return outputs

    def _guarded(
        self, function: Callable[[Argument], Result], argument: Argument, started: float
    ) -> Result:
        """Call the handler; whatever it raises comes out as a RequestError."""
        self._busy_since = started
        try:
            result = function(argument)
        # A handler may raise anything; a stray sys.exit() must not end the thread either.
        except BaseException as error:
            self._come_back()
            if not isinstance(error, RequestError):
                raise self._failure(error) from error
            if isinstance(error, FatalError):
                self._on_fault(error.message)
            raise
        self._come_back()
        return result

    def _come_back(self) -> None:
        """The call is over; raises if it was found to hang, and nobody waits for it."""
        with self._lock:
            self._busy_since = None
            if self._is_left_behind:
                time.sleep(0)  # here the error arrives that the thread was told to raise …
                raise LeftBehindError  # … unless the handler has caught it

    def _failure(self, error: BaseException) -> PredictionFailedError:
        name = type(error).__name__
        _logger.error("the handler raised %s", name, exc_info=error)
        ids = ", ".join([ticket.invocation.request_id for ticket in log.current.get()])
        text = f"{name} in the handler; see the log, request id `{ids}`"
        if not _is_fatal(error):
            return PredictionFailedError(text)
        self._on_fault(f"the handler raised {name}: {error}")
        return FatalError(text)

    def _fail(self, ticket: Ticket, error: RequestError) -> None:
        ticket.error = error
        self._deliver(ticket)


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)


def _close(chunks: Generator[bytes]) -> None:
    chunks.close()


def _is_fatal(error: BaseException) -> bool:
    """Whether no later request can be answered either.

    After an error of CUDA the process cannot use the device again, whatever it tries. Only what
    torch itself says counts: other errors may quote what a caller has sent.
    """
    return isinstance(error, RuntimeError) and str(error).startswith("CUDA error")
