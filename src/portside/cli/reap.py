"""`portside reap`: remove the endpoints that have outlived their use."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from itertools import groupby

import click

from portside.aws.session import Session
from portside.cli import change, ls, output, target
from portside.config import ttl_hours
from portside.deploy.current.owned import observe_owned
from portside.deploy.inventory import Overdue, overdue, owned_by, take_inventory
from portside.deploy.plan.plan import plan_removal
from portside.deploy.plan.step import Step
from portside.deploy.removal import check_unused
from portside.errors import UsageError


@click.command()
@target.option
@click.option(
    "--older-than",
    metavar="TIME",
    help="Also what nobody has called for this long: `12h`, `7d`, `2w`.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask (AWS only; the local AWS never asks).")
@click.option("--break-lock", is_flag=True, help="Take locks from runs that are dead.")
@click.option("--json", "as_json", is_flag=True, help="Print what goes as JSON, on stdout.")
def command(
    where: str, older_than: str | None, dry_run: bool, yes: bool, break_lock: bool, as_json: bool
) -> None:
    """Remove every endpoint whose `ttl` is over, with all that only it needs.

    Of all projects of the account and region; what has no `ttl` stays, unless `--older-than`
    says otherwise. Where no endpoint of a project stays, all of the project goes.

    \b
    Example:
      portside reap --dry-run
      portside reap --older-than 7d --target aws
    """
    idle_h = None if older_than is None else _hours(older_than)
    session = target.connect(where)
    now = time.time()
    with output.activity("looking through the account"):
        holdings = take_inventory(session, now=now)
    late = overdue(holdings, now=now, idle_h=idle_h)
    if as_json:
        output.as_json(
            [ls.described(one.holding, now=now) | {"reason": one.reason} for one in late]
        )
    else:
        _show(late)
    if dry_run or not late:
        return
    if where == target.AWS and not yes:
        output.confirm("Remove all of this?")
    for project, group in groupby(late, key=lambda one: one.holding.project):
        endpoints = {one.holding.endpoint for one in group}
        remove(session, project, endpoints, idle_h=idle_h, break_lock=break_lock)


def remove(
    session: Session,
    project: str,
    endpoints: Collection[str],
    *,
    idle_h: int | None = None,
    break_lock: bool = False,
    clock: Callable[[], float] = time.time,
) -> None:
    """Remove those of a project's endpoints that are still overdue once its lock is held.

    Until then somebody may have deployed one anew, or given it longer to live.
    """

    def make_plan() -> tuple[Step, ...]:
        now = clock()
        holdings = take_inventory(session, now=now, project=project)
        late = overdue(holdings, now=now, idle_h=idle_h)
        going = sorted({one.holding.endpoint for one in late}.intersection(endpoints))
        if not going:
            return ()
        owned = observe_owned(session, project)
        if any(one.endpoint not in going for one in holdings):
            owned = owned_by(going, owned, region=session.region)
        check_unused(session, owned)
        return plan_removal(owned)

    change.carry_out(
        session,
        project,
        make_plan(),
        plan_again=make_plan,
        command="portside reap",
        break_lock=break_lock,
    )


def _hours(text: str) -> int:
    try:
        return ttl_hours(text)
    except ValueError as error:
        raise UsageError(
            f"`{text}` is not a time", hint="write `--older-than 12h`, `7d` or `2w`"
        ) from error


def _show(late: Sequence[Overdue]) -> None:
    if not late:
        output.data("nothing to remove")
    for one in late:
        output.data(f"- {one.holding.endpoint} of {one.holding.project}: {one.reason}")
