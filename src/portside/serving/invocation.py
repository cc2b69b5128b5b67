"""What passes between the server and a handler: requests opened into jobs, run in batches.

    Invocation ──open──▶ Job: inputs, sizes ──┐
    Invocation ──open──▶ Job ─────────────────┼─ batcher ──run──▶ outputs ──finish──▶ Answer
    Invocation ──open──▶ Job ─────────────────┘

A handler sees a request twice, alone: `open` decodes it into inputs, `finish`
makes the answer of their outputs. In between stands `run`, which takes inputs
of several requests at once where the handler allows it. All three are called in
the batcher's threads, never in the event loop, and may block.

Named tuples, because a frozen dataclass takes three times as long to make, and
every request makes one of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from portside.serving.session import Session

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Invocation(NamedTuple):
    """A request for a prediction, whole."""

    body: bytes
    content_type: str | None = None
    """`Content-Type` as it was sent; None without one."""
    accept: str | None = None
    headers: Mapping[str, str] = _NO_HEADERS
    """By their names in lower case."""
    request_id: str = ""
    session: Session | None = None
    """The sticky session that it belongs to, if any."""


class Answer(NamedTuple):
    """What the caller gets, with status 200."""

    body: bytes | Iterator[bytes]
    """An iterator is sent chunk by chunk, each as soon as it is made."""
    content_type: str
    headers: Mapping[str, str] = _NO_HEADERS


class Job(NamedTuple):
    """An opened request: what has to be run for it, and how its answer is made of the outputs."""

    inputs: Sequence[Any]
    """Each is run once; there may be none."""
    sizes: Sequence[int]
    """Of each input, in tokens; 1 where the handler does not count. Inputs of like size are run
    together, and padded to the largest."""
    finish: Callable[[Sequence[Any]], Answer]
    """Makes the answer of the outputs, one for each input and in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimit:
    """How much a handler takes in one `run`, and how many runs at once."""

    inputs: int = 1
    """Most inputs in one run."""
    tokens: int = 2**31
    """Most tokens in one run, padding included: the largest size times the number of inputs.
    A single input larger than that is run alone."""
    runs: int = 1
    """Runs at the same time, each in a thread of its own. With 1 the handler need not be
    thread-safe: `open`, `run` and `finish` are never called at the same time."""


class Handler(Protocol):
    """Answers invocations; raises RequestError for one that the caller has to mend.

    Whatever else it raises is a fault of the handler: the batcher logs the
    traceback and answers 500.
    """

    @property
    def batch_limit(self) -> BatchLimit:
        """Asked once, after loading."""
        ...

    def open(self, invocation: Invocation) -> Job:
        """Decode a request; 415, 406 and 400 are found here."""
        ...

    def run(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """One output for each input; if it raises, each input of the batch is run alone."""
        ...

    def close(self) -> None:
        """Give back what the handler holds; it is not called again."""
        ...
