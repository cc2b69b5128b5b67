"""What was done to a project, for `portside status --history`."""

from __future__ import annotations

from dataclasses import asdict

from portside.aws.session import Session
from portside.cli import output
from portside.deploy.desired.name import bucket_name
from portside.deploy.run.journal import history
from portside.deploy.run.run import S3Book

SHOWN = 10
"""Runs: each costs two requests."""


def show(session: Session, project: str, *, as_json: bool) -> None:
    """The last runs, newest first."""
    bucket = bucket_name(account=session.account, region=session.region)
    entries = history(S3Book(session, bucket, project), count=SHOWN)
    if as_json:
        output.as_json([asdict(entry) for entry in entries])
    elif not entries:
        output.data(f"{project}: nothing was done yet")
    else:
        rows = [
            [
                entry.time.removesuffix("+00:00") + "Z",
                entry.command,
                entry.who,
                str(len(entry.steps)),
                entry.result,
            ]
            for entry in entries
        ]
        output.table(["time", "command", "who", "steps", "result"], rows)
