"""What each run did to a project: written on S3 while it goes on, read by `status --history`.

    PROJECT/journal/20261123T103102Z-4f0c…/0000.json   begun: who, command, the whole plan
                                           0001.json   a step's end: done or failed, seconds
                                           …
                                           0007.json   ended: done, or why not

An event is an object of its own that is never changed again, so a run that is killed leaves
all that it knew. The plan stands in the first one, with the final name of everything: what
cannot carry a tag at its creation is on record before the first call that makes it. A run
with nothing to do writes nothing. The last runs are kept; older ones go at the end of a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol

from portside import __version__
from portside.deploy.plan.step import Step
from portside.deploy.run.runner import Runner
from portside.errors import PortsideError, RemoteError

DONE: Final = "done"
"""The result of a run, or of a step, that went well."""

KEPT_RUNS: Final = 100
"""With 20 pages or so each, two requests list them all."""

INTERRUPTED: Final = "interrupted"
"""The result of a run that wrote no end: it was killed, or goes on right now."""


class Book(Protocol):
    """Where events go, and come from."""

    def write(self, name: str, body: bytes) -> None:
        """Put down a page that stays as it is."""

    def names(self) -> list[str]:
        """All pages, in alphabetical order."""

    def read(self, name: str) -> bytes:
        """A page; empty where it is gone."""

    def remove(self, run: str) -> None:
        """Take out all pages of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run as the history shows it; `result` is `done`, a reason why not, or `interrupted`."""

    run: str
    time: str
    command: str
    who: str
    plan: str
    """Digest of the plan's steps: the same plan has the same."""
    steps: tuple[str, ...]
    """What was planned."""
    result: str
    done: int = 0
    """How many of them ended well."""
    stopped_at: str | None = None
    """The step that failed or was cut; None where the run is done, or had not come to one."""


class Journal:
    """Writes down one run. `clock` tells the time in UTC."""

    def __init__(self, book: Book, runner: Runner, *, clock: Callable[[], datetime]) -> None:
        self._book = book
        self._runner = runner
        self._clock = clock
        self._run = ""
        self._pages = 0

    @contextmanager
    def run(self, command: str, steps: Sequence[Step]) -> Iterator[None]:
        """Around the steps of a run: what it is about to do, and how it ended."""
        self._run = f"{self._clock():%Y%m%dT%H%M%SZ}-{self._runner.run}"
        self._write(
            "begun",
            command=command,
            runner=asdict(self._runner),
            version=__version__,
            plan=plan_digest(steps),
            steps=[{"id": step.id, "reason": step.reason} for step in steps],
        )
        try:
            yield
        except BaseException as error:
            self._end(_reason(error))
            raise
        self._end(DONE)
        self._prune()

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Around one step: how it ended, and when."""
        began = self._clock()
        result = DONE
        try:
            yield
        except BaseException as error:
            result = _reason(error)
            raise
        finally:
            took_s = (self._clock() - began).total_seconds()
            self._late("step", id=step.id, result=result, took_s=round(took_s, 3))

    def _end(self, result: str) -> None:
        self._late("ended", result=result)

    def _prune(self) -> None:
        """What cannot be removed now is removed by the next run."""
        try:
            for run in sorted(_by_run(self._book))[:-KEPT_RUNS]:
                self._book.remove(run)
        except RemoteError:
            return

    def _late(self, event: str, **fields: object) -> None:
        """What has happened has happened, whether it can be written down or not."""
        try:
            self._write(event, **fields)
        except RemoteError:
            return

    def _write(self, event: str, **fields: object) -> None:
        page = {"event": event, "time": self._clock().isoformat(timespec="seconds"), **fields}
        self._book.write(f"{self._run}/{self._pages:04}.json", json.dumps(page).encode())
        self._pages += 1


def history(book: Book, *, count: int) -> list[Entry]:
    """The last runs, newest first; what cannot be read is left out."""
    pages = _by_run(book)
    runs = sorted(pages, reverse=True)[:count]
    entries = (_entry(run, book, pages[run]) for run in runs)
    return [entry for entry in entries if entry is not None]


def _by_run(book: Book) -> dict[str, list[str]]:
    """The pages of each run, both in the order of time."""
    pages: dict[str, list[str]] = {}
    for name in book.names():
        pages.setdefault(name.partition("/")[0], []).append(name)
    return pages


def plan_digest(steps: Sequence[Step]) -> str:
    """Of what is to be done, in its order: the first ten hex digits of a SHA-256."""
    return sha256("\n".join(step.id for step in steps).encode()).hexdigest()[:10]


def _entry(run: str, book: Book, names: list[str]) -> Entry | None:
    try:
        first: dict[str, Any] = json.loads(book.read(names[0]))
        last: dict[str, Any] = json.loads(book.read(names[-1]))
        steps = tuple(step["id"] for step in first["steps"])
        result = last["result"] if last["event"] == "ended" else INTERRUPTED
        # Beside the steps' ends there is the page of the beginning, and mostly that of the end.
        tried = len(names) - (2 if last["event"] == "ended" else 1)
        done = tried if result == DONE else _done(book, names, tried=tried)
        return Entry(
            run=run,
            time=first["time"],
            command=first["command"],
            who=str(Runner(**first["runner"])),
            plan=first["plan"],
            steps=steps,
            result=result,
            done=done,
            stopped_at=None if result == DONE or done == len(steps) else steps[done],
        )
    except (ValueError, TypeError, KeyError):
        return None


def _done(book: Book, names: list[str], *, tried: int) -> int:
    """Of the steps that were tried all ended well but perhaps the last: a run ends with it."""
    if not tried:
        return 0
    return tried if json.loads(book.read(names[tried]))["result"] == DONE else tried - 1


def _reason(error: BaseException) -> str:
    if isinstance(error, PortsideError):
        return error.message
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else type(error).__name__
