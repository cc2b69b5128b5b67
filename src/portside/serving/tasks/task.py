"""What a task is: a reader of bodies, and the work that it makes of each.

    body ──open──▶ Work: inputs ──(the graph, in batches)──▶ outputs ──answer──▶ answer

A task knows texts and answers; it does not know the graph, threads or content types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

from portside.serving.error import InvalidBodyError
from portside.serving.tasks.field import Field

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from tokenizers import Encoding

    from portside.serving.tasks.request import Request

    Output = Sequence[npt.NDArray[np.float32]]
    """Of one input: an array for each output of the graph. Where an array has a row for each
    token, rows of padding follow the input's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the graph has to be run on, and how the answer is made of what it says."""

    inputs: Sequence[Encoding]
    answer: Callable[[Sequence[Output]], Any]
    """Takes one output for each input, in their order."""


class Task(Protocol):
    """Makes work of bodies; raises `InvalidBodyError` for one that it does not understand."""

    @property
    def example(self) -> object:
        """A body that it does."""
        ...

    def open(self, body: Field) -> Work:
        """The work that answers a body."""
        ...


def open_body(task: Task, body: object) -> Work:
    """The work that answers a decoded body; a list is a body each item."""
    field = Field(value=body)
    if isinstance(body, list):
        work = together([task.open(item) for item in field.items()])
    else:
        work = task.open(field)
    # Possible with a tokenizer that has no special tokens; a graph would fail at it.
    if not all(map(len, work.inputs)):
        raise InvalidBodyError("expected texts with at least one token in each, got one without")
    return work


def answer_each(request: Request, make_work: Callable[[Field], Work]) -> Work:
    """The work that answers a request: a list of answers, or the one of a single item."""
    works = [make_work(item) for item in request.items]
    return works[0] if request.is_single else together(works)


def together(works: Sequence[Work]) -> Work:
    """All of the works in one; its answer is the list of theirs."""

    def answer(outputs: Sequence[Output]) -> list[Any]:
        remaining = iter(outputs)
        return [work.answer(list(islice(remaining, len(work.inputs)))) for work in works]

    inputs = list(chain.from_iterable(work.inputs for work in works))
    return Work(inputs=inputs, answer=answer)
