"""One run at a time changes a project: a lock that lies beside its artifacts on S3.

    acquire ──▶ held ──heartbeat──▶ held ──▶ release
       │          └─ somebody else's ─▶ lost: the next `check` raises
       └─ held by another ─▶ known dead or silent for long ─▶ taken over
                          └─ else an error that says who, and how to break it by hand

Each change of the object is a compare and swap, so of two that come at once one wins.
How old a heartbeat is tells the store's clock alone. docs/decisions/0019 has the reasons.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol

from portside.aws.conditional import Found
from portside.deploy.run.runner import Runner
from portside.errors import DeployError, RemoteError

HEARTBEAT_S: Final = 10.0
STALE_S: Final = 60.0
"""Silence after which a holder counts as dead: five heartbeats may fail in a row."""

_ATTEMPTS: Final = 5
"""Of taking a lock that others take and release at the same time."""


class Register(Protocol):
    """Where the lock lies; see `aws.conditional.ConditionalObject`."""

    def read(self) -> Found | None:
        """What lies there."""

    def create(self, body: bytes) -> str | None:
        """Put it where there is none; its ETag."""

    def replace(self, body: bytes, *, etag: str) -> str | None:
        """Put another in the place of the one with this ETag; the new one's."""

    def delete(self, *, etag: str) -> bool:
        """Remove the one with this ETag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the lock says: who holds it, for what, since when, and how often that was renewed."""

    runner: Runner
    project: str
    command: str
    since: str
    """In UTC, `2026-11-23T10:31:02Z`, by the holder's clock: for people."""
    beats: int = 0

    def to_bytes(self) -> bytes:
        """As it lies on S3."""
        return json.dumps(asdict(self)).encode()


class Lock:
    """A project's lock, in the hands of this run or about to be.

    `clock` is the time of day in seconds, which goes on while a laptop sleeps.
    """

    def __init__(
        self,
        register: Register,
        claim: Claim,
        *,
        clock: Callable[[], float],
        is_gone: Callable[[Runner], bool],
    ) -> None:
        self._register = register
        self._claim = claim
        self._clock = clock
        self._is_gone = is_gone
        self._renewing = threading.Lock()
        self._etag: str | None = None
        self._renewed_at = 0.0

    def acquire(self, *, break_it: bool = False) -> None:
        """Take the lock.

        Raises `DeployError` where another run holds it; `break_it` takes it all the same.
        """
        for _ in range(_ATTEMPTS):
            began = self._clock()
            found = self._register.read()
            if found is None:
                etag = self._register.create(self._claim.to_bytes())
            elif self._is_own(found):
                etag = found.etag
            elif break_it or is_abandoned(found, is_gone=self._is_gone):
                etag = self._register.replace(self._claim.to_bytes(), etag=found.etag)
            else:
                raise _held(self._claim.project, found)
            if etag is not None:
                self._etag, self._renewed_at = etag, began
                return
        raise DeployError(
            f"cannot lock the project `{self._claim.project}`: others take it all the time",
            hint="run the same command again when they are done",
        )

    @contextmanager
    def kept(self, *, heartbeat_s: float = HEARTBEAT_S) -> Iterator[Callable[[], None]]:
        """Renew the lock while the block runs, and give it back.

        Yields `check`, to be called before each change.
        """
        ended = threading.Event()
        heart = threading.Thread(target=self._beat, args=(ended, heartbeat_s), daemon=True)
        heart.start()
        try:
            yield self.check
        finally:
            ended.set()
            heart.join()
            self.release()

    def check(self) -> None:
        """Raise `DeployError` where the lock is another's; asks S3 where no heartbeat did lately.

        So a run that slept, or had no network, learns of it before it changes anything.
        """
        if self._etag is not None and self._clock() - self._renewed_at > 2 * HEARTBEAT_S:
            self._renew()
        if self._etag is None:
            raise DeployError(
                f"stopped: the lock of the project `{self._claim.project}` was taken by another run"
                f"{_whose(self._register.read())}",
                hint="see what it does with `portside status --history`, then run this again",
            )

    def release(self) -> None:
        """Give it back; a lock that was lost, or cannot be reached, is left as it is."""
        with self._renewing:
            etag, self._etag = self._etag, None
        if etag is not None:
            try:
                self._register.delete(etag=etag)
            except RemoteError:
                return  # it goes stale by itself, and what the run did matters more

    def _beat(self, ended: threading.Event, heartbeat_s: float) -> None:
        while not ended.wait(heartbeat_s):
            try:
                self._renew()
            except RemoteError:
                continue  # `check` asks again before the next change, and says what is wrong

    def _renew(self) -> None:
        with self._renewing:
            if self._etag is None:
                return
            began = self._clock()
            self._claim = replace(self._claim, beats=self._claim.beats + 1)
            etag = self._register.replace(self._claim.to_bytes(), etag=self._etag)
            if etag is None and (found := self._register.read()) and self._is_own(found):
                etag = found.etag
            self._etag, self._renewed_at = etag, began

    def _is_own(self, found: Found) -> bool:
        """A write that S3 did, but whose answer was lost on the way, meets itself."""
        claim = read_claim(found.body)
        return claim is not None and claim.runner.run == self._claim.runner.run


def is_abandoned(found: Found, *, is_gone: Callable[[Runner], bool]) -> bool:
    """Whether the holder of a lock is dead, or silent for so long that it counts as dead."""
    claim = read_claim(found.body)
    return found.age_s > STALE_S or (claim is not None and is_gone(claim.runner))


def read_claim(body: bytes) -> Claim | None:
    """What a lock says; None where another version of Portside wrote it in another way."""
    try:
        fields = json.loads(body)
        return Claim(**(fields | {"runner": Runner(**fields["runner"])}))
    except (ValueError, TypeError, KeyError):
        return None


def _held(project: str, found: Found) -> DeployError:
    return DeployError(
        f"cannot change the project `{project}`: another run has its lock{_whose(found)}",
        hint="wait until it ends; if you know that it is dead, add `--break-lock` to the command",
    )


def _whose(found: Found | None) -> str:
    claim = read_claim(found.body) if found else None
    if found is None or claim is None:
        return ""
    return (
        f": `{claim.command}` by {claim.runner}, since {claim.since}, "
        f"heard of {max(found.age_s, 0):.0f} s ago"
    )
