"""A run that changes a project: alone, by the lock, and on record, in the journal.

    alone ──▶ lock ──▶ (look again, plan again) ──▶ recorded ──▶ each step: check, do, write down

The bucket holds both; making it is the one step that needs no lock, because to make it twice
is to make it once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from portside.aws import s3
from portside.aws.conditional import ConditionalObject, write_once
from portside.aws.session import Session
from portside.deploy.apply.apply import Progress, Reporter
from portside.deploy.plan.step import Step
from portside.deploy.run.journal import Journal
from portside.deploy.run.lock import Claim, Lock, is_abandoned
from portside.deploy.run.runner import is_gone, this_runner
from portside.errors import RemoteError


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run that holds the lock. `check` raises where that was lost."""

    check: Callable[[], None]
    journal: Journal
    command: str

    def recorded(self, steps: Sequence[Step]) -> AbstractContextManager[None]:
        """Around the steps: the plan goes into the journal, and how it ended."""
        return self.journal.run(self.command, steps)

    def reporter(self, reporter: Reporter) -> Reporter:
        """A reporter that looks after the lock before each step and writes down how it ended."""

        @contextmanager
        def around(step: Step) -> Iterator[Progress]:
            self.check()
            with self.journal.step(step), reporter(step) as progress:
                yield progress

        return around


@contextmanager
def alone(
    session: Session, project: str, *, bucket: str, command: str, break_lock: bool = False
) -> Iterator[Run]:
    """Hold the project's lock. Raises `DeployError` where another run holds it."""
    runner, now = this_runner(), datetime.now(UTC)
    lock = Lock(
        ConditionalObject(session, bucket, f"{project}/lock"),
        Claim(runner=runner, project=project, command=command, since=f"{now:%Y-%m-%dT%H:%M:%SZ}"),
        clock=time.time,
        is_gone=is_gone,
    )
    journal = Journal(S3Book(session, bucket, project), runner, clock=lambda: datetime.now(UTC))
    try:
        lock.acquire(break_it=break_lock)
    except RemoteError as error:
        if error.code != "NoSuchBucket":
            raise
        # Somebody removed it by hand: what is left can be changed, and removed, all the same.
        s3.create_bucket(session, bucket)
        s3.secure_bucket(session, bucket)
        lock.acquire(break_it=break_lock)
    with lock.kept() as check:
        yield Run(check=check, journal=journal, command=command)


def is_changing(session: Session, project: str, *, bucket: str) -> bool:
    """Whether a run that is alive, as far as is known, holds a project's lock."""
    found = ConditionalObject(session, bucket, f"{project}/lock").read()
    return found is not None and not is_abandoned(found, is_gone=is_gone)


class S3Book:
    """A project's journal in Portside's bucket."""

    def __init__(self, session: Session, bucket: str, project: str) -> None:
        self._session = session
        self._bucket = bucket
        self._prefix = f"{project}/journal/"

    def write(self, name: str, body: bytes) -> None:
        """Put down a page that stays as it is."""
        write_once(self._session, self._bucket, self._prefix + name, body)

    def names(self) -> list[str]:
        """All pages, in alphabetical order, as S3 lists them."""
        keys = s3.list_keys(self._session, self._bucket, prefix=self._prefix)
        return [key.removeprefix(self._prefix) for key in keys]

    def read(self, name: str) -> bytes:
        """A page; empty where it is gone."""
        found = ConditionalObject(self._session, self._bucket, self._prefix + name).read()
        return found.body if found else b""

    def remove(self, run: str) -> None:
        """Take out all pages of a run, with what a versioned bucket keeps of them."""
        s3.delete_prefix(self._session, self._bucket, prefix=f"{self._prefix}{run}/")
