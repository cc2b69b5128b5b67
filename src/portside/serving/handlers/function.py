"""The two functions of an `inference.py`: `load_model` once, `predict` for each request.

    def load_model(model_dir: str) -> Model: ...       optional; without it the model is None
    def predict(data, model: Model) -> result: ...
    def predict_batch(batch: list, model: Model) -> list[result]: ...      in place of `predict`

`data` is the list in a body `{"strings": [...]}`, or else the decoded value as
it is. `predict` is given as many of data, model and context as it takes. Each
function may be `async def`, and `predict` may be a generator, whose values are
streamed. `predict_batch` is given the data of several requests, and returns as
many results in their order. A type hint on `data` is enforced: see `schema`.

    open    body ─codec─▶ value ─hint─▶ data
    run     data ─predict─▶ result
    finish  result ─codec─▶ answer
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from portside.errors import PortsideError
from portside.serving import codecs
from portside.serving.codecs import JSON
from portside.serving.error import PredictionFailedError
from portside.serving.handlers.answer import make_answer
from portside.serving.handlers.context import Context
from portside.serving.handlers.loop import Loop
from portside.serving.handlers.openapi import Description
from portside.serving.handlers.program import accepts
from portside.serving.handlers.refusal import while_reading, while_writing
from portside.serving.handlers.schema import read_hints
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job

if TYPE_CHECKING:
    from pathlib import Path

    from portside.serving.handlers.program import Program
    from portside.serving.handlers.schema import Hints

_MAX_BATCH: Final = 32
"""Most requests in one call of `predict_batch`; KServe's batcher has the same default."""

FUNCTIONS: Final = ("load_model", "predict", "predict_batch")
"""A file that defines any of them is meant to be called so."""

_ALL: Final = 3
"""Data, model and context."""

_ONE: Final = (1,)

_Input = tuple[Any, Context | None]
"""What is run for a request: its data, and its context where `predict` takes one."""

_Run = Callable[[Sequence[_Input]], Sequence[Any]]


def load_functions(
    program: Program, model_dir: Path, *, default_accept: str | None, threads: int
) -> FunctionHandler:
    """The handler of a file that defines `predict` or `predict_batch`, its model loaded."""
    loop = Loop()
    function, is_batched = _find_function(program)
    takes = 2 if is_batched else _count_taken(program, function)
    hints = read_hints(function, is_batched=is_batched)
    model = _load_model(program, model_dir, loop)
    if is_batched:
        run = _run_batch(function, model, loop)
    else:
        run = _run_each(function, model, loop, takes=takes)
    return FunctionHandler(
        run,
        loop,
        hints=hints,
        takes_context=takes == _ALL,
        default_accept=default_accept or JSON,
        batch_limit=BatchLimit(inputs=_MAX_BATCH if is_batched else 1, runs=threads),
    )


class FunctionHandler:
    """Answers with the user's functions."""

    def __init__(
        self,
        run: _Run,
        loop: Loop,
        *,
        hints: Hints,
        takes_context: bool,
        default_accept: str,
        batch_limit: BatchLimit,
    ) -> None:
        self.batch_limit = batch_limit
        self._run = run
        self._loop = loop
        self._hints = hints
        self._takes_context = takes_context
        self._default_accept = default_accept

    def open(self, invocation: Invocation) -> Job:
        """Decode the body, and check it against the hint."""
        data = self._hints.read(codecs.decode(invocation.body, invocation.content_type))
        context = Context(invocation) if self._takes_context else None
        finish = partial(self._finish, invocation.accept, context)
        return Job(inputs=((data, context),), sizes=_ONE, finish=finish)

    def run(self, inputs: Sequence[_Input]) -> Sequence[Any]:
        """What the user's function makes of each."""
        with while_reading:
            return self._run(inputs)

    def close(self) -> None:
        """Stop the event loop of asynchronous functions."""
        self._loop.close()

    def describe(self) -> Description:
        """What goes in and out, as far as the hints tell."""
        return self._hints.describe()

    def _finish(
        self, accept: str | None, context: Context | None, results: Sequence[Any]
    ) -> Answer:
        headers: Mapping[str, str] = context.response_headers if context is not None else {}
        with while_writing:  # a generator runs up to its first value here
            return make_answer(
                results[0], accept=accept, default_accept=self._default_accept, headers=headers
            )


# --- Calling --------------------------------------------------------------------


def _find_function(program: Program) -> tuple[Callable[..., Any], bool]:
    """The function that answers, and whether it takes batches."""
    predict_batch = program.plain("predict_batch")
    if predict_batch is not None:
        if not accepts(predict_batch, 2):
            raise program.misfit("predict_batch", "batch", "model")
        return predict_batch, True
    predict = program.plain("predict")
    if predict is None:
        raise PortsideError(
            f"`{program.path}` does not define `predict`", hint="define `predict(data, model)`"
        )
    return predict, False


def _count_taken(program: Program, predict: Callable[..., Any]) -> int:
    """How many of data, model and context `predict` takes.

    A third parameter that has a default and another name is the user's own.
    """
    try:
        parameters = list(inspect.signature(predict).parameters.values())
    except ValueError:  # written in C, and silent about what it takes
        return 2
    if len(parameters) >= _ALL and accepts(predict, _ALL):
        third = parameters[2]
        if third.default is third.empty or third.name == "context":
            return _ALL
    for count in (2, 1):
        if accepts(predict, count):
            return count
    raise program.misfit("predict", "data", "model")


def _load_model(program: Program, model_dir: Path, loop: Loop) -> object:
    folder = str(model_dir)
    model: object = None
    program.run_hook("pre_model_fn", folder)
    load_model = program.plain("load_model")
    if load_model is not None:
        model = program.load("load_model", lambda: loop.settle(load_model(folder)))
    program.run_hook("model_warmup_fn", folder, model)
    return model


def _run_each(predict: Callable[..., Any], model: object, loop: Loop, *, takes: int) -> _Run:
    def run(inputs: Sequence[_Input]) -> Sequence[Any]:
        return [loop.settle(predict(*(data, model, context)[:takes])) for data, context in inputs]

    return run


def _run_batch(predict_batch: Callable[..., Any], model: object, loop: Loop) -> _Run:
    def run(inputs: Sequence[_Input]) -> Sequence[Any]:
        results: Any = loop.settle(predict_batch([data for data, _ in inputs], model))
        if isinstance(results, str | bytes | Mapping) or not hasattr(results, "__len__"):
            kind = type(results).__name__
            raise PredictionFailedError(f"`predict_batch` returned `{kind}`, not a list of results")
        if len(results) != len(inputs):
            raise PredictionFailedError(
                f"`predict_batch` returned {len(results)} results for {len(inputs)} requests"
            )
        return list(results)

    return run
