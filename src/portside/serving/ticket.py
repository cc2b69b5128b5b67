"""A request on its way through the batcher, from its arrival to its answer."""

from __future__ import annotations

from typing import Any, Protocol

from portside.serving.error import RequestError
from portside.serving.invocation import Answer, Invocation, Job


class Stream(Protocol):
    """Where the chunks of a streamed answer go; called from the handler's thread."""

    def start(self, ticket: Ticket, answer: Answer) -> None:
        """Send the head of the answer; raises PredictionFailedError if it cannot be sent."""
        ...

    def send(self, chunk: bytes) -> None:
        """Send a chunk; waits while the caller reads too slowly.

        Raises CallerGoneError if nobody reads any more.
        """
        ...

    def end(self, ticket: Ticket, *, is_complete: bool) -> None:
        """There are no more chunks; the caller can tell a complete answer from one that broke.

        It is delivered to the reply after its last chunk, in this way and in no other.
        """
        ...


class Reply(Protocol):
    """Where the outcome of a request goes."""

    def deliver(self, ticket: Ticket) -> None:
        """Called once in the event loop, when `answer` or `error` is set."""
        ...

    def open_stream(self) -> Stream:
        """Called in the handler's thread if the answer comes in chunks."""
        ...


class Ticket:
    """A request, what was found out about it, and how it ended.

    What most requests leave as it is stands in the class: every request makes a ticket.
    """

    is_over = False
    """Set by the event loop: answered, or nobody is left to answer. What a thread still makes of
    it is thrown away."""
    is_streamed = False
    """Whether the head of the answer was sent already."""
    job: Job | None = None
    missing = 0
    """Inputs that have no output yet."""
    answer: Answer | None = None
    error: RequestError | None = None
    queue_s = 0.0
    decode_s = 0.0
    predict_s = 0.0
    """Of the runs that it was part of, from their begin to their end."""
    encode_s = 0.0
    cost_s = 0.0
    """What it took of a thread's time; of a run, its share."""
    batch_size = 0
    """The most inputs that one of its runs had, those of other requests included."""
    tokens = 0

    def __init__(
        self, invocation: Invocation, reply: Reply, arrived: float, deadline: float
    ) -> None:
        self.invocation = invocation
        self.reply = reply
        self.arrived = arrived
        self.deadline = deadline
        self.outputs: list[Any] = []
