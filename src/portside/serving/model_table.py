"""The models of a multi-model endpoint: loaded, kept apart, unloaded.

    load       room for it?     no ─▶ 507, and the platform unloads another one
    LOADING      │ in a thread, one at a time
               room still?      no ─▶ 507, with everything freed
                 │
    READY      a batcher of its own: queue, threads, deadlines
                 │
    unload       │
    DRAINING   no new requests; those in flight are answered
                 │ in a thread
    CLOSING    batcher and handler closed, memory given back

Models are loaded one after the other, because what each takes can only be told
by what the process grows by, and because their modules have the same names. A
load that takes longer than SageMaker waits is left behind with its thread.

All of it is called in the event loop, but for `_load` and `_close`.
"""

from __future__ import annotations

import bisect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside import contract
from portside.serving.batcher import Batcher, QueueLimit
from portside.serving.error import (
    ConflictError,
    NotFoundError,
    OutOfMemoryError,
    RequestError,
    StoppedError,
    TimedOutError,
)
from portside.serving.memory import release_memory
from portside.serving.model_loading import check_folder, close_quietly, load_model

if TYPE_CHECKING:
    from portside.serving.invocation import Handler
    from portside.serving.memory import MemoryBudget

Done = Callable[[RequestError | None], None]
"""Called once with the end of a load or an unload: None, or why it failed."""

_logger: Final = logging.getLogger(__name__)


class ModelState(StrEnum):
    """Where a model is between the begin of its loading and the end of its unloading."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    CLOSING = "closing"


@dataclass(slots=True, eq=False)
class Model:
    """A model, under the name that the platform gave it."""

    name: str
    url: str
    """Its folder, as the platform named it."""
    done: Done | None
    """Who waits for what is being done to it, until told."""
    state: ModelState = ModelState.LOADING
    deadline: float = float("inf")
    """Of its loading, once it has begun."""
    batcher: Batcher | None = None


class ModelTable:
    """Models by their names; `load` makes the handler of a folder, in a thread.

    `call_soon` hands a call over from a thread to the event loop; `spawn` calls a function in a
    thread. Only folders below `root` are loaded.
    """

    def __init__(
        self,
        load: Callable[[Path], Handler],
        *,
        root: Path,
        budget: MemoryBudget,
        limit: QueueLimit,
        call_soon: Callable[[Callable[[], None]], object],
        spawn: Callable[[Callable[[], None]], object] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._load_handler = load
        self._root = root
        self._budget = budget
        self._limit = limit
        self._call_soon = call_soon
        self._spawn = spawn or _start_thread
        self._clock = clock
        self._models: dict[str, Model] = {}
        self._to_load: deque[Model] = deque()
        self._loading: Model | None = None

    # --- Asking ---------------------------------------------------------------------

    def find(self, name: str) -> Model:
        """The model of that name; NotFoundError unless it is ready."""
        model = self._models.get(name)
        if model is None or model.state is not ModelState.READY:
            raise _unknown(name)
        return model

    def page(self, *, after: str) -> tuple[list[Model], str | None]:
        """The models that come after a name, in the order of names, and the token of the next page.

        The token is the last name of a page, so that what is loaded and unloaded between two pages
        neither hides a model nor shows one twice.
        """
        names = sorted(n for n, model in self._models.items() if model.state is ModelState.READY)
        start = bisect.bisect_right(names, after)
        shown = names[start : start + contract.MODELS_PAGE_SIZE]
        has_more = start + len(shown) < len(names)
        return [self._models[name] for name in shown], shown[-1] if has_more else None

    def batcher(self, name: str) -> Batcher:
        """Where requests for a model go; NotFoundError unless it is ready."""
        batcher = self.find(name).batcher
        if batcher is None:
            raise _unknown(name)
        return batcher

    # --- Loading --------------------------------------------------------------------

    def load(self, name: str, url: str, *, done: Done) -> None:
        """Load the model in a folder; `done` is called once it takes requests, or will not.

        Raises ConflictError if the name is taken, InvalidRequestError or NotFoundError for a
        folder that is not below the root, or not there.
        """
        if (model := self._models.get(name)) is not None:
            raise _conflict(model)
        check_folder(url, root=self._root)
        model = self._models[name] = Model(name, url, done)
        self._to_load.append(model)
        self._load_next()

    def _load_next(self) -> None:
        if self._loading is not None or not self._to_load:
            return
        model = self._loading = self._to_load.popleft()
        model.deadline = self._clock() + contract.MODEL_LOAD_TIMEOUT_S
        try:
            self._spawn(partial(self._load, model))
        except RuntimeError as error:  # the system gives no more threads
            self._loaded(model, OutOfMemoryError(f"cannot load a model: {error}"))

    def _load(self, model: Model) -> None:
        """In a thread."""
        outcome: Handler | RequestError
        try:
            outcome = load_model(Path(model.url), load=self._load_handler, budget=self._budget)
        except RequestError as error:
            outcome = error
        self._call_soon(partial(self._loaded, model, outcome))

    def _loaded(self, model: Model, outcome: Handler | RequestError) -> None:
        if model is not self._loading:  # it was given up before
            if not isinstance(outcome, RequestError):
                self._spawn(partial(close_quietly, outcome))
            return
        self._loading = None
        error = outcome if isinstance(outcome, RequestError) else self._open(model, outcome)
        self._conclude(model, error)
        self._load_next()

    def _conclude(self, model: Model, error: RequestError | None) -> None:
        if error is not None:
            _logger.error("`%s` was not loaded: %s", model.url, error.message)
            del self._models[model.name]
        _tell(model, error)

    def _give_up_loading(self, model: Model) -> None:
        """Leave a thread behind that has not come to an end in time."""
        _logger.error("loading `%s` hangs: its thread is left behind", model.url)
        self._loading = None
        seconds = contract.MODEL_LOAD_TIMEOUT_S
        self._conclude(model, TimedOutError(f"`{model.url}` was not loaded within {seconds:g} s"))
        self._load_next()

    def _open(self, model: Model, handler: Handler) -> RequestError | None:
        try:
            model.batcher = Batcher(handler, call_soon=self._call_soon, limit=self._limit)
        except RuntimeError as error:  # the system gives no more threads
            return OutOfMemoryError(f"cannot start the threads of a model: {error}")
        model.state = ModelState.READY
        return None

    # --- Unloading ------------------------------------------------------------------

    def unload(self, name: str, *, done: Done) -> None:
        """Unload a model; `done` is called once its last request is answered and its memory free.

        Raises NotFoundError for an unknown name, ConflictError if the model is not ready.
        """
        model = self._models.get(name)
        if model is None:
            raise _unknown(name)
        if model.state is not ModelState.READY:
            raise _conflict(model)
        model.state, model.done = ModelState.DRAINING, done
        self._close_drained(model)

    def _close_drained(self, model: Model) -> None:
        if model.state is ModelState.DRAINING and _in_flight(model) == 0:
            try:
                self._spawn(partial(self._close, model))
            except RuntimeError:  # no thread to be had; the next sweep tries again
                return
            model.state = ModelState.CLOSING

    def _close(self, model: Model) -> None:
        """In a thread."""
        if model.batcher is not None:
            close_quietly(model.batcher)
            model.batcher = None
        release_memory()
        self._call_soon(partial(self._closed, model))

    def _closed(self, model: Model) -> None:
        del self._models[model.name]
        _logger.info("model unloaded", extra={"fields": {"model_name": model.name}})
        _tell(model, None)

    # --- As a batcher ---------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Requests that wait, run or stream, of all models."""
        return sum(_in_flight(model) for model in self._models.values())

    @property
    def fault(self) -> str | None:
        """Why the instance cannot go on, if so: the models share one process."""
        faults = (batcher.fault for batcher in self._batchers())
        return next((fault for fault in faults if fault is not None), None)

    def sweep(self) -> None:
        """Look at all deadlines; to be called several times a second."""
        for batcher in list(self._batchers()):
            batcher.sweep()
        for model in list(self._models.values()):
            self._close_drained(model)
        if self._loading is not None and self._clock() >= self._loading.deadline:
            self._give_up_loading(self._loading)

    def stop(self) -> None:
        """Answer 503 to whatever is still in flight, loading and unloading included."""
        for batcher in list(self._batchers()):
            batcher.stop()
        for model in self._models.values():
            text = f"the instance was stopped while the model `{model.name}` was {model.state}"
            _tell(model, StoppedError(text))

    def _batchers(self) -> Iterator[Batcher]:
        for model in self._models.values():
            # A thread sets it to None while it closes.
            if (batcher := model.batcher) is not None and model.state is not ModelState.CLOSING:
                yield batcher


def _in_flight(model: Model) -> int:
    batcher = model.batcher
    return batcher.in_flight if batcher is not None else 0


def _tell(model: Model, error: RequestError | None) -> None:
    """Once: nobody waits for what comes after the end of the grace."""
    done, model.done = model.done, None
    if done is not None:
        done(error)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"no model `{name}` is loaded")


def _conflict(model: Model) -> ConflictError:
    return ConflictError(f"there is a model `{model.name}` already: it is {model.state}")


def _start_thread(function: Callable[[], None]) -> None:
    threading.Thread(target=function, name="model", daemon=True).start()
