"""`portside logs`: what an endpoint's instances printed."""

from __future__ import annotations

import time
from datetime import datetime

import click

from portside import contract
from portside.aws import logs
from portside.aws.session import Session
from portside.cli import output, target
from portside.errors import RemoteError

POLL_S = 1.0


@click.command()
@click.argument("endpoint")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@target.option
def command(endpoint: str, follow: bool, as_json: bool, where: str) -> None:
    """Show what the instances of ENDPOINT printed, oldest first.

    The logs of an endpoint stay when it is deleted, as on AWS.

    \b
    Example:
      portside logs ner -f
    """
    session = target.connect(where)
    group = contract.LOG_GROUP_PREFIX + endpoint
    seen = _show(session, group, set(), since_ms=0, as_json=as_json)
    while follow:
        time.sleep(POLL_S)
        since_ms = int((time.time() - 60) * 1000)
        seen = _show(session, group, seen, since_ms=since_ms, as_json=as_json)


def show_tail(session: Session, endpoint: str, *, count: int = 3) -> None:
    """The newest lines, beside an error; nothing where there are none."""
    try:
        lines = list(logs.read(session, contract.LOG_GROUP_PREFIX + endpoint))
    except RemoteError:
        return  # the error that is being reported matters more
    for line in lines[-count:]:
        output.note(f"  {line.stream}  {logs.readable(line.message)}")


def _show(
    session: Session, group: str, seen: set[str], *, since_ms: int, as_json: bool
) -> set[str]:
    """Print the lines not seen yet; returns the ids of the lines in the window."""
    window: set[str] = set()
    try:
        for line in logs.read(session, group, since_ms=since_ms):
            window.add(line.event_id)
            if line.event_id not in seen:
                _print(line, as_json=as_json)
    except RemoteError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise RemoteError(
            f"there are no logs of an endpoint `{group.rpartition('/')[2]}`",
            service=error.service,
            operation=error.operation,
            code=error.code,
            request_id=error.request_id,
            hint="see which endpoints there are: `portside local status`",
        ) from error
    return window


def _print(line: logs.LogLine, *, as_json: bool) -> None:
    if as_json:
        output.json_line(
            {"time": line.time.isoformat(), "stream": line.stream, "message": line.message}
        )
        return
    output.data(f"{_clock(line.time)} {line.stream}  {logs.readable(line.message)}")


def _clock(time_utc: datetime) -> str:
    return time_utc.astimezone().strftime("%H:%M:%S.%f")[:-3]
