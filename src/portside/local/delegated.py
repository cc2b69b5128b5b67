"""IAM and STS, answered by moto in this process, and a journal that outlives it.

    request ──▶ moto ──▶ a change? ──▶ journal ──▶ answer

Who the caller is needs no asking: there is one pair of keys, and it is the account's own.

moto keeps IAM in memory only. So each request that changed something is written to
the journal before it is answered, and the journal is played back to moto at the
first call of the next life. moto draws ids from one random source and asks one
function for the time; both are set from the journal entry before each call, live and
played back, so that a role comes back with the same id and date.

moto is imported at the first call: that takes some 0.4 s and 40 MB. It is not safe
for threads, so all calls go through one worker thread.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from portside.local.clock import Clock
from portside.local.journal import Entry, Journal
from portside.local.protocol.message import Request, Response

if TYPE_CHECKING:
    from portside.local.moto_application import MotoApplication

_log = logging.getLogger(__name__)


class Delegated:
    """The services that moto answers for; make with the journal's file, end with `stop`."""

    def __init__(self, journal_file: Path, *, account: str, clock: Clock) -> None:
        self._journal_file = journal_file
        self._account = account
        self._clock = clock
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="delegated")
        self._loaded: tuple[Journal, MotoApplication] | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether somebody has called yet."""
        return self._loaded is not None

    async def answer(self, service: str, request: Request, body: bytes) -> Response:
        """Answer a request whose signature was checked."""
        entry = Entry(
            time_ms=self._clock.now_ms(),
            seed=secrets.randbits(62),  # SQLite's integers have 63 bits and a sign
            service=service,
            method=request.method,
            path=request.path,
            query=request.query,
            content_type=request.header("content-type") or "",
            body=body,
        )
        if service == "sts" and entry.action == "GetCallerIdentity":
            return _caller_identity(self._account)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._answer, entry)

    async def stop(self) -> None:
        """Let the last call end, and close the journal."""
        await asyncio.to_thread(self._worker.shutdown)
        if self._loaded is not None:
            self._loaded[0].close()

    def _answer(self, entry: Entry) -> Response:
        journal, moto = self._loaded or self._load()
        response = moto.call(entry)
        if entry.changes and response.status < 400:
            journal.append(entry)
        return response

    def _load(self) -> tuple[Journal, MotoApplication]:
        journal = Journal(self._journal_file)
        # Here and not above, because it takes its time and not everybody calls IAM.
        from portside.local.moto_application import MotoApplication  # noqa: PLC0415  see above

        moto = MotoApplication(account=self._account)
        for entry in journal.entries():
            if moto.call(entry).status >= 400:  # another version of moto may refuse it
                _log.warning("could not play back %s of %d", entry.action, entry.time_ms)
        self._loaded = journal, moto
        return self._loaded


def _caller_identity(account: str) -> Response:
    """The account's root user, as AWS names it. API Reference of STS, GetCallerIdentity."""
    body = (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<GetCallerIdentityResult><Arn>arn:aws:iam::{account}:root</Arn>"
        f"<UserId>{account}</UserId><Account>{account}</Account></GetCallerIdentityResult>"
        "</GetCallerIdentityResponse>"
    )
    return Response(status=200, headers=(("Content-Type", "text/xml"),), body=body.encode())
