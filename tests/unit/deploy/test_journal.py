"""The journal: what stands there before, while and after a run, and what history makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from portside.deploy.desired.resources import Kind
from portside.deploy.plan.step import Step, Verb
from portside.deploy.run.journal import KEPT_RUNS, Journal, history, plan_digest
from portside.deploy.run.runner import Runner
from portside.errors import DeployError, RemoteError

STEPS = (
    Step(verb=Verb.CREATE, kind=Kind.MODEL, name="ner-1", reason="does not exist"),
    Step(verb=Verb.CREATE, kind=Kind.ENDPOINT, name="ner", reason="does not exist"),
)


class FakeBook:
    """Pages in memory."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.is_down = False

    def write(self, name: str, body: bytes) -> None:
        if self.is_down:
            raise RemoteError("no", service="s3", operation="PutObject", code="Unreachable")
        assert name not in self.pages
        self.pages[name] = body

    def names(self) -> list[str]:
        return sorted(self.pages)

    def read(self, name: str) -> bytes:
        return self.pages[name]

    def remove(self, run: str) -> None:
        if self.is_down:
            raise RemoteError("no", service="s3", operation="DeleteObjects", code="Unreachable")
        self.pages = {name: page for name, page in self.pages.items() if f"{run}/" not in name}


def seconds() -> Iterator[datetime]:
    now = datetime(2026, 11, 23, 10, 31, tzinfo=UTC)
    while True:
        yield now
        now += timedelta(seconds=1)


def journal(book: FakeBook, name: str = "ann", clock: Iterator[datetime] | None = None) -> Journal:
    runner = Runner(run=name, user=name, host="box", pid=1, place="", started="")
    ticks = clock or seconds()
    return Journal(book, runner, clock=lambda: next(ticks))


def events(book: FakeBook) -> list[dict[str, object]]:
    return [json.loads(book.pages[name]) for name in book.names()]


def test_the_whole_plan_is_on_record_before_the_first_step() -> None:
    book = FakeBook()

    with journal(book).run("portside deploy", STEPS):
        (begun,) = events(book)

    assert begun["event"] == "begun"
    assert begun["steps"] == [
        {"id": "create Model ner-1", "reason": "does not exist"},
        {"id": "create Endpoint ner", "reason": "does not exist"},
    ]
    assert begun["plan"] == plan_digest(STEPS) != plan_digest(STEPS[::-1])


def test_each_step_is_written_when_it_is_done() -> None:
    book = FakeBook()
    own = journal(book)

    with own.run("portside deploy", STEPS):
        for number, step in enumerate(STEPS, 2):
            with own.step(step):
                pass
            assert len(book.pages) == number

    begun, first, second, ended = events(book)
    assert (first["id"], first["result"], first["took_s"]) == ("create Model ner-1", "done", 1.0)
    assert second["id"] == "create Endpoint ner"
    assert ended["result"] == "done"
    assert begun["time"] < ended["time"]  # type: ignore[operator]  # both are text


def test_a_failure_stands_there_with_its_reason() -> None:
    book = FakeBook()
    own = journal(book)

    with pytest.raises(DeployError), own.run("portside deploy", STEPS), own.step(STEPS[0]):
        raise DeployError("cannot create the Model `ner-1`")

    assert [event.get("result") for event in events(book)[1:]] == [
        "cannot create the Model `ner-1`"
    ] * 2


def test_history_is_newest_first_and_knows_the_killed() -> None:
    book, clock = FakeBook(), seconds()
    with journal(book, "ann", clock).run("portside deploy", STEPS):
        pass
    killed = journal(book, "bob", clock)
    run = killed.run("portside destroy", STEPS)
    run.__enter__()  # and never left
    book.pages["20991231T000000Z-odd/0000.json"] = b"{}"

    entries = history(book, count=5)

    assert [(entry.who, entry.command, entry.result) for entry in entries] == [
        ("bob@box (process 1)", "portside destroy", "interrupted"),
        ("ann@box (process 1)", "portside deploy", "done"),
    ]
    assert history(book, count=1) == []


@pytest.mark.parametrize(
    ("ends", "done", "stopped_at"),
    [
        ((None, None), 2, None),
        ((None, DeployError("no capacity")), 1, "create Endpoint ner"),
        ((DeployError("no"),), 0, "create Model ner-1"),
        ((None, KeyboardInterrupt()), 1, "create Endpoint ner"),
    ],
)
def test_history_tells_what_was_done_from_what_was_planned(
    ends: tuple[BaseException | None, ...], done: int, stopped_at: str | None
) -> None:
    book = FakeBook()
    own = journal(book)

    with suppress(DeployError, KeyboardInterrupt), own.run("portside deploy", STEPS):
        for step, end in zip(STEPS, ends, strict=False):
            with own.step(step):
                if end is not None:
                    raise end

    (entry,) = history(book, count=5)
    assert (entry.done, len(entry.steps), entry.stopped_at) == (done, 2, stopped_at)


@pytest.mark.parametrize(("pages", "stopped_at"), [(1, "create Model ner-1"), (2, STEPS[1].id)])
def test_a_run_that_was_killed_stopped_at_the_step_after_the_last_that_ended(
    pages: int, stopped_at: str
) -> None:
    book = FakeBook()
    own = journal(book)
    with own.run("portside deploy", STEPS):
        for step in STEPS:
            with own.step(step):
                pass
    book.pages = dict(sorted(book.pages.items())[:pages])

    (entry,) = history(book, count=5)
    assert (entry.result, entry.done, entry.stopped_at) == ("interrupted", pages - 1, stopped_at)


def test_the_last_runs_are_kept_and_older_ones_go_when_a_run_has_ended() -> None:
    book, clock = FakeBook(), seconds()
    book.pages = {f"20250101T{number:06}Z-old/0000.json": b"{}" for number in range(KEPT_RUNS)}
    oldest, *others = book.names()

    with journal(book, "ann", clock).run("portside deploy", STEPS):
        assert oldest in book.pages

    assert oldest not in book.pages
    assert set(others) < set(book.pages)
    assert len({name.partition("/")[0] for name in book.pages}) == KEPT_RUNS
    assert history(book, count=1)[0].result == "done"


def test_a_journal_that_cannot_be_pruned_fails_no_run() -> None:
    book = FakeBook()
    book.pages = {f"2025{number:04}T000000Z-old/0000.json": b"{}" for number in range(200)}
    own = journal(book)

    with own.run("portside deploy", STEPS):
        book.is_down = True

    assert len(book.pages) == 201


def test_what_was_done_is_no_failure_because_it_cannot_be_written_down() -> None:
    book = FakeBook()
    own = journal(book)

    with own.run("portside deploy", STEPS):
        book.is_down = True
        with own.step(STEPS[0]):
            pass


def test_nothing_is_begun_that_cannot_be_written_down() -> None:
    book = FakeBook()
    book.is_down = True

    with pytest.raises(RemoteError), journal(book).run("portside deploy", STEPS):
        raise AssertionError("it was begun")
