"""Bounded load on a server: callers that predict in a loop, and a look at `/ping` meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.contract.wire import Answer, Target

PREDICTING: Final = 2 * (os.cpu_count() or 1)
"""Callers that keep every core busy."""


@dataclass(slots=True)
class Load:
    """What the callers got so far."""

    answers: list[Answer] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    @property
    def statuses(self) -> set[int]:
        """Of all answers."""
        return {answer.status for answer in self.answers}


@contextmanager
def load(
    target: Target, *, callers: int = PREDICTING, for_s: float = 30, body: bytes | None = None
) -> Iterator[Load]:
    """Predictions of so many callers while the block runs, and no longer than `for_s`."""
    seen = Load()
    is_over = threading.Event()
    until = time.monotonic() + for_s

    def call() -> None:
        while not is_over.is_set() and time.monotonic() < until:
            try:
                seen.answers.append(target.invoke(body))
            except Exception as error:  # noqa: BLE001 - the test looks at what went wrong
                seen.errors.append(error)
                return

    threads = [threading.Thread(target=call, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join(for_s)


def probe(act: Callable[[], Answer], *, times: int, every_s: float = 0.02) -> list[Answer]:
    """The answers to so many pings, with a pause after each."""
    answers = []
    for _ in range(times):
        answers.append(act())
        time.sleep(every_s)
    return answers
