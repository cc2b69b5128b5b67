"""The table of models: what is loaded, what is refused, and what is left of it.

Time is virtual, and what would run in a thread runs when the test says so; only the batchers have
threads of their own.
"""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from portside import contract
from portside.errors import PortsideError
from portside.serving.batcher import QueueLimit
from portside.serving.error import (
    ConflictError,
    FatalError,
    InvalidRequestError,
    LoadFailedError,
    NotFoundError,
    OutOfMemoryError,
    RequestError,
    StoppedError,
    TimedOutError,
)
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job
from portside.serving.memory import MemoryBudget
from portside.serving.model_table import ModelTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from portside.serving.ticket import Ticket

MB = 2**20


class EchoHandler:
    """Answers with the body, after `before` was called with it."""

    batch_limit = BatchLimit()

    def __init__(self, before: Callable[[bytes], object] = lambda _: None) -> None:
        self._before = before
        self.is_closed = False

    def open(self, invocation: Invocation) -> Job:
        return Job(
            inputs=(invocation.body,),
            sizes=(1,),
            finish=lambda outputs: Answer(body=outputs[0], content_type="text/plain"),
        )

    def run(self, inputs: Sequence[bytes]) -> Sequence[bytes]:
        for body in inputs:
            self._before(body)
        return inputs

    def close(self) -> None:
        self.is_closed = True


@dataclass(eq=False)
class Outcome:
    """How a request ended; see `ticket.Reply`."""

    tickets: list[Ticket] = field(default_factory=list)

    def deliver(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)

    def open_stream(self) -> Any:
        raise AssertionError("nothing is streamed here")

    @property
    def body(self) -> bytes | None:
        [ticket] = self.tickets
        assert ticket.answer is not None
        assert isinstance(ticket.answer.body, bytes)
        return ticket.answer.body

    @property
    def error(self) -> RequestError | None:
        [ticket] = self.tickets
        return ticket.error


class World:
    """A table with all that it touches: a loader, memory, a clock, threads and an event loop."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0.0
        self.resident = 0
        self.loader: Callable[[Path], EchoHandler] = lambda _: EchoHandler()
        self.loaded: list[Path] = []
        self.threads: deque[Callable[[], None]] = deque()
        self.has_threads = True
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.table = self.make_table(limit_mb=None)

    def make_table(self, *, limit_mb: int | None) -> ModelTable:
        self.table = ModelTable(
            self._load,
            root=self.root,
            budget=MemoryBudget(
                None if limit_mb is None else limit_mb * MB, resident=lambda: self.resident
            ),
            limit=QueueLimit(),
            call_soon=self._calls.put,
            spawn=self._spawn,
            clock=lambda: self.now,
        )
        return self.table

    def _load(self, model_dir: Path) -> EchoHandler:
        self.loaded.append(model_dir)
        return self.loader(model_dir)

    def _spawn(self, function: Callable[[], None]) -> None:
        if not self.has_threads:
            raise RuntimeError("can't start new thread")
        self.threads.append(function)

    def work(self) -> None:
        """Let all threads run, and the event loop hear of it."""
        self.listen()
        while self.threads:
            self.threads.popleft()()
            self.listen()

    def listen(self) -> None:
        while not self._calls.empty():
            self._calls.get()()

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 10
        while not (value := condition()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.002)
            self.listen()
        return value

    def folder(self, name: str, *, size_bytes: int = 0) -> str:
        folder = self.root / name / "model"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "weights").open("wb") as file:
            file.truncate(size_bytes)
        return str(folder)

    def load(self, name: str, *, size_bytes: int = 0) -> list[RequestError | None]:
        """What `done` is told, once it is."""
        told: list[RequestError | None] = []
        self.table.load(name, self.folder(name, size_bytes=size_bytes), done=told.append)
        return told

    def have(self, *names: str) -> None:
        for name in names:
            told = self.load(name)
            self.work()
            assert told == [None]

    def unload(self, name: str) -> list[RequestError | None]:
        told: list[RequestError | None] = []
        self.table.unload(name, done=told.append)
        return told

    def invoke(self, name: str, body: bytes = b"hello") -> Outcome:
        outcome = Outcome()
        self.table.batcher(name).submit(Invocation(body), outcome)
        return outcome

    def answer(self, name: str, body: bytes = b"hello") -> Outcome:
        outcome = self.invoke(name, body)
        self.until(lambda: outcome.tickets)
        return outcome

    def names(self) -> list[str]:
        models, _ = self.table.page(after="")
        return [model.name for model in models]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "models").mkdir()
    made = World(tmp_path / "models")
    yield made
    for name in made.names():
        made.table.batcher(name).close()


def refused(told: list[RequestError | None]) -> RequestError:
    [error] = told
    assert error is not None
    return error


# --- Loading --------------------------------------------------------------------


def test_a_model_takes_requests_once_it_is_loaded(world: World):
    told = world.load("a")
    with pytest.raises(NotFoundError):
        world.table.batcher("a")
    assert told == world.names() == []

    world.work()

    assert told == [None]
    assert world.names() == ["a"]
    assert world.table.find("a").url == world.folder("a")
    assert world.answer("a").body == b"hello"


def test_a_name_is_taken_from_the_begin_of_loading(world: World):
    world.load("a")
    with pytest.raises(ConflictError, match=r"`a`.*loading"):
        world.load("a")
    world.work()
    with pytest.raises(ConflictError, match=r"`a`.*ready"):
        world.load("a")
    assert len(world.loaded) == 1


def test_models_are_loaded_one_after_the_other(world: World):
    first, second = world.load("a"), world.load("b")
    assert len(world.threads) == 1
    world.threads.popleft()()
    assert len(world.loaded) == 1
    world.listen()
    assert first == [None]
    assert second == []
    world.work()
    assert second == [None]


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("{root}/missing/model", NotFoundError),
        ("{root}/../elsewhere", InvalidRequestError),
        ("{root}/link", InvalidRequestError),
        ("relative", InvalidRequestError),
        ("/", InvalidRequestError),
        ("{root}/\0", InvalidRequestError),
        ("{root}/" + "x" * 300, (NotFoundError, InvalidRequestError)),
    ],
)
def test_only_folders_below_the_root_are_loaded(world: World, url: str, error: Any):
    elsewhere = world.root.parent / "elsewhere"
    elsewhere.mkdir()
    (world.root / "link").symlink_to(elsewhere)
    with pytest.raises(error):
        world.table.load("a", url.replace("{root}", str(world.root)), done=lambda _: None)
    assert not world.threads
    assert world.load("a") == []  # the name is free


def test_a_model_that_cannot_be_loaded_says_why_and_leaves_its_name(world: World):
    def fail(model_dir: Path) -> EchoHandler:
        raise PortsideError("no `model.onnx` there", hint="add it")

    world.loader = fail
    told = world.load("a")
    world.work()
    error = refused(told)
    assert isinstance(error, LoadFailedError)
    assert error.message == "no `model.onnx` there; add it"
    assert world.names() == []

    world.loader = lambda _: EchoHandler()
    world.have("a")


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ValueError("bad"), LoadFailedError),
        (SystemExit(0), LoadFailedError),
        (MemoryError(), OutOfMemoryError),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemoryError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemoryError),
    ],
)
def test_whatever_loading_raises_is_told(world: World, raised: BaseException, kind: Any):
    def fail(model_dir: Path) -> EchoHandler:
        raise PortsideError("`load_model` raised") from raised

    world.loader = fail
    told = world.load("a")
    world.work()
    assert type(refused(told)) is kind


def test_nothing_is_left_of_a_model_that_was_half_loaded(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    # pytest keeps what is logged, tracebacks with all their frames included.
    monkeypatch.setattr(logging.getLogger("portside.serving.model_loading"), "disabled", True)
    remains: list[weakref.ref[EchoHandler]] = []

    def fail(model_dir: Path) -> EchoHandler:
        half = EchoHandler()
        remains.append(weakref.ref(half))
        raise MemoryError

    world.loader = fail
    told = world.load("a")
    world.work()
    assert isinstance(refused(told), OutOfMemoryError)
    assert [reference() for reference in remains] == [None]


def test_a_load_that_hangs_is_given_up_and_the_next_one_begins(world: World):
    late = EchoHandler()
    world.loader = lambda _: late
    told = world.load("a")
    hanging = world.threads.popleft()
    next_told = world.load("b")
    world.now = contract.MODEL_LOAD_TIMEOUT_S - 1
    world.table.sweep()
    assert told == []

    world.now = contract.MODEL_LOAD_TIMEOUT_S
    world.table.sweep()
    assert isinstance(refused(told), TimedOutError)
    world.loader = lambda _: EchoHandler()
    world.work()
    assert next_told == [None]

    world.loader = lambda _: late
    hanging()  # it comes to its end after all
    world.work()
    assert late.is_closed
    assert world.names() == ["b"]
    assert len(told) == 1


def test_no_thread_to_be_had_is_no_room(world: World):
    world.has_threads = False
    assert isinstance(refused(world.load("a")), OutOfMemoryError)
    world.has_threads = True
    world.have("a")


# --- Memory ---------------------------------------------------------------------


def test_a_model_that_is_too_large_on_disk_is_not_even_tried(world: World):
    world.make_table(limit_mb=100)
    told = world.load("a", size_bytes=90 * MB)
    world.work()
    error = refused(told)
    assert isinstance(error, OutOfMemoryError)
    assert "135 MB" in error.message
    assert "100 MB" in error.message
    assert world.loaded == []


def test_what_loaded_models_take_is_not_there_for_the_next(world: World):
    def load(model_dir: Path) -> EchoHandler:
        world.resident += 60 * MB
        return EchoHandler()

    world.loader = load
    world.make_table(limit_mb=100)
    first, second = world.load("a", size_bytes=40 * MB), world.load("b", size_bytes=40 * MB)
    world.work()
    assert first == [None]
    assert isinstance(refused(second), OutOfMemoryError)

    world.unload("a")
    world.work()
    world.resident = 0
    again = world.load("b", size_bytes=40 * MB)
    world.work()
    assert again == [None]


def test_a_model_that_took_more_than_there_was_is_closed_again(world: World):
    handlers: list[EchoHandler] = []

    def load(model_dir: Path) -> EchoHandler:
        world.resident += 150 * MB
        handlers.append(EchoHandler())
        return handlers[0]

    world.loader = load
    world.make_table(limit_mb=100)
    told = world.load("a", size_bytes=1)
    world.work()
    assert isinstance(refused(told), OutOfMemoryError)
    assert handlers[0].is_closed
    assert world.names() == []


def test_no_memory_for_a_prediction_is_507_and_not_the_end(world: World):
    def before(body: bytes) -> None:
        if body == b"large":
            raise MemoryError

    world.loader = lambda _: EchoHandler(before)
    world.have("a")
    assert isinstance(world.answer("a", b"large").error, OutOfMemoryError)
    assert world.answer("a").body == b"hello"
    assert world.table.fault is None


# --- Unloading ------------------------------------------------------------------


def test_unloading_waits_for_what_is_in_flight(world: World):
    go_on = threading.Event()
    handler = EchoHandler(lambda _: go_on.wait(10))
    world.loader = lambda _: handler
    world.have("a")
    outcome = world.invoke("a")

    told = world.unload("a")
    world.table.sweep()
    world.work()
    assert told == []
    assert not handler.is_closed
    with pytest.raises(NotFoundError):
        world.invoke("a")
    with pytest.raises(ConflictError, match="draining"):
        world.load("a")
    with pytest.raises(ConflictError):
        world.unload("a")

    go_on.set()
    world.until(lambda: outcome.tickets)
    world.table.sweep()
    world.work()
    assert outcome.body == b"hello"
    assert told == [None]
    assert handler.is_closed
    world.have("a")


def test_nothing_refers_to_a_model_that_is_unloaded(world: World):
    world.have("a")
    world.answer("a")
    alive = weakref.ref(world.table.batcher("a"))
    gc.disable()  # what is freed is freed by the table
    try:
        world.unload("a")
        world.work()
        assert alive() is None
    finally:
        gc.enable()


def test_a_handler_that_cannot_be_closed_is_unloaded_all_the_same(world: World):
    class Stubborn(EchoHandler):
        def close(self) -> None:
            raise ValueError("never")

    world.loader = lambda _: Stubborn()
    world.have("a")
    told = world.unload("a")
    world.work()
    assert told == [None]
    assert world.names() == []


def test_what_is_not_ready_is_not_unloaded(world: World):
    with pytest.raises(NotFoundError):
        world.unload("a")
    world.load("a")
    with pytest.raises(ConflictError, match="loading"):
        world.unload("a")


def test_unloading_is_tried_again_where_there_is_no_thread(world: World):
    world.have("a")
    world.has_threads = False
    told = world.unload("a")
    assert told == []
    world.has_threads = True
    world.table.sweep()
    world.work()
    assert told == [None]


# --- All of them ----------------------------------------------------------------


def test_pages_hold_a_hundred_and_name_the_next(world: World):
    names = [f"model-{number:03}" for number in range(contract.MODELS_PAGE_SIZE + 2)]
    world.have(*reversed(names))
    first, token = world.table.page(after="")
    assert token is not None
    world.unload(first[0].name)
    world.work()
    second, end = world.table.page(after=token)
    assert [model.name for model in first + second] == names
    assert end is None
    assert world.table.page(after=names[-1]) == ([], None)


def test_a_full_page_that_is_the_last_names_no_next(world: World):
    world.have(*(f"model-{number:03}" for number in range(contract.MODELS_PAGE_SIZE)))
    models, token = world.table.page(after="")
    assert len(models) == contract.MODELS_PAGE_SIZE
    assert token is None


def test_a_fault_of_one_model_is_the_instances(world: World):
    def before(body: bytes) -> None:
        raise FatalError("the device is gone")

    world.have("a")
    assert world.table.fault is None
    world.loader = lambda _: EchoHandler(before)
    world.have("b")
    world.answer("b")
    assert world.table.fault is not None


def test_stopping_answers_what_is_in_flight(world: World):
    go_on = threading.Event()
    world.loader = lambda _: EchoHandler(lambda _: go_on.wait(10))
    world.have("a")
    outcome = world.invoke("a")
    assert world.table.in_flight == 1
    world.table.stop()
    assert isinstance(outcome.error, StoppedError)
    assert world.table.in_flight == 0
    go_on.set()


def test_stopping_answers_whoever_waits_and_once(world: World):
    loading, waiting = world.load("a"), world.load("b")
    world.table.stop()
    assert isinstance(refused(loading), StoppedError)
    assert isinstance(refused(waiting), StoppedError)
    world.work()
    assert len(loading) == len(waiting) == 1
