"""`portside ls`: all that Portside made in the account."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime

import click

from portside.cli import output, target
from portside.deploy.inventory import Holding, take_inventory
from portside.deploy.price.price import dollars

COLUMNS = ["project", "endpoint", "kind", "status", "age", "idle month", "last call", "ttl left"]


@click.command()
@target.option
@click.option("--json", "as_json", is_flag=True, help="Print the endpoints as JSON, on stdout.")
def command(where: str, as_json: bool) -> None:
    """Show every endpoint that Portside made in the account and region, of all projects.

    The cost is that of a month in which nobody calls, at AWS's list prices; how long ago the last
    call was is known to the hour, 60 days back.

    \b
    Example:
      portside ls --target aws
    """
    session = target.connect(where)
    now = time.time()
    with output.activity("looking through the account"):
        found = take_inventory(session, now=now)
    if as_json:
        output.as_json([described(one, now=now) for one in found])
    elif not found:
        output.data(f"nothing (account {session.account}, {session.region})")
    else:
        output.table(COLUMNS, [row(one, now=now) for one in found])


def described(one: Holding, *, now: float) -> dict[str, object]:
    """An endpoint for programs: times in ISO 8601, durations in seconds."""
    return asdict(one) | {
        "created_at": _date(one.created_at),
        "invoked_at": None if one.invoked_at is None else _date(one.invoked_at),
        "age_s": round(now - one.created_at),
        "ttl_left_s": None if (left := one.ttl_left_s(now)) is None else round(left),
    }


def duration(seconds: float) -> str:
    """Of hours and days for people: `12 min`, `5 h`, `3 d`."""
    if abs(seconds) < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if abs(seconds) < 48 * 3600 else f"{seconds / 86400:.0f} d"


def row(one: Holding, *, now: float) -> list[str]:
    """An endpoint for people."""
    left_s = one.ttl_left_s(now)
    return [
        one.project,
        one.endpoint,
        one.kind,
        one.status,
        duration(now - one.created_at),
        "unknown" if one.idle_month is None else dollars(one.idle_month),
        "none" if one.invoked_at is None else duration(now - one.invoked_at),
        "" if left_s is None else "over" if left_s <= 0 else duration(left_s),
    ]


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
