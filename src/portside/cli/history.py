"""What was done to a project, for `portside status --history`."""

from __future__ import annotations

from dataclasses import asdict

from portside.aws.session import Session
from portside.cli import output
from portside.cli.plan import short
from portside.deploy.desired.name import bucket_name
from portside.deploy.run.journal import DONE, INTERRUPTED, Entry, history
from portside.deploy.run.run import S3Book

COLUMNS = ["time (UTC)", "command", "who", "steps", "result"]

SHOWN = 10
"""Runs: each costs two requests, one that failed three."""


def show(session: Session, project: str, *, as_json: bool) -> None:
    """The last runs, newest first."""
    bucket = bucket_name(account=session.account, region=session.region)
    entries = history(S3Book(session, bucket, project), count=SHOWN)
    if as_json:
        output.as_json([asdict(entry) for entry in entries])
    elif not entries:
        output.data(f"{project}: nothing was done yet")
    else:
        rows = [row(entry) for entry in entries]
        below = [stop(entry) for entry in entries]
        output.table(COLUMNS, rows, below=below)


def row(entry: Entry) -> list[str]:
    """A run for people: of its steps those that were done, and those that were planned."""
    return [
        entry.time.removesuffix("+00:00").replace("T", " "),
        entry.command.removeprefix("portside "),
        entry.who.partition(" (")[0],
        f"{entry.done} of {len(entry.steps)}",
        entry.result if entry.result in {DONE, INTERRUPTED} else "failed",
    ]


def stop(entry: Entry) -> str:
    """Where a run stopped, and why; nothing of one that went well."""
    if entry.result == DONE:
        return ""
    reason = "" if entry.result == INTERRUPTED else f": {entry.result}"
    return f"stopped at `{short(entry.stopped_at)}`{reason}" if entry.stopped_at else entry.result
