"""`portside reap`: remove the endpoints that have outlived their use.

    all endpoints ─▶ overdue ─┐
                              ├─▶ of each project, under its lock: look again ─▶ remove
    all journals ─▶ cut ──────┘

With an endpoint goes all that only it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

import click

from portside.aws import s3
from portside.aws.session import Session
from portside.cli import change, ls, output, target
from portside.config import ttl_hours
from portside.deploy.current.current import Owned
from portside.deploy.current.owned import observe_owned
from portside.deploy.desired.name import bucket_name
from portside.deploy.inventory import (
    REAP,
    Holding,
    Overdue,
    is_cut,
    left_by_cut,
    overdue,
    owned_by,
    take_inventory,
)
from portside.deploy.plan.plan import plan_removal
from portside.deploy.plan.step import Step
from portside.deploy.removal import check_unused
from portside.deploy.run.journal import Entry, history
from portside.deploy.run.run import S3Book
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
    says otherwise. Where no endpoint of a project stays, all of the project goes. What an earlier
    `reap` that was cut has left goes, too.

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
        left = find_left(session, holdings)
    late = overdue(holdings, now=now, idle_h=idle_h)
    if as_json:
        output.as_json(
            [ls.described(one.holding, now=now) | {"reason": one.reason} for one in late]
            + [_described(project, one) for project, found in left.items() for one in found]
        )
    else:
        _show(late, left)
    if dry_run or not (late or left):
        return
    if where == target.AWS and not yes:
        output.confirm("Remove all of this?")
    for project in sorted({one.holding.project for one in late} | left.keys()):
        endpoints = {one.holding.endpoint for one in late if one.holding.project == project}
        remove(session, project, endpoints, idle_h=idle_h, break_lock=break_lock)


def find_left(session: Session, holdings: Sequence[Holding]) -> dict[str, tuple[Owned, ...]]:
    """By project: what a `reap` that was cut has left of endpoints that are gone."""
    bucket = bucket_name(account=session.account, region=session.region)
    found = {}
    for project in s3.list_folders(session, bucket):
        entries = _last_run(session, project)
        if is_cut(entries):
            living = {one.endpoint for one in holdings if one.project == project}
            owned = observe_owned(session, project)
            found[project] = left_by_cut(entries, owned, living=living, region=session.region)
    return {project: left for project, left in found.items() if left}


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

    Until then somebody may have deployed one anew, or given it longer to live. What a removal
    that was cut has left goes as well.
    """

    def make_plan() -> tuple[Step, ...]:
        now = clock()
        holdings = take_inventory(session, now=now, project=project)
        late = overdue(holdings, now=now, idle_h=idle_h)
        going = sorted({one.holding.endpoint for one in late}.intersection(endpoints))
        entries = _last_run(session, project)
        if not going and not is_cut(entries):
            return ()
        owned = observe_owned(session, project)
        living = {one.endpoint for one in holdings}
        chosen = left_by_cut(entries, owned, living=living, region=session.region)
        if going:
            stays = living.difference(going)
            chosen += owned_by(going, owned, region=session.region) if stays else owned
        chosen = tuple(one for one in owned if one in chosen)
        check_unused(session, chosen)
        return plan_removal(chosen)

    change.carry_out(
        session,
        project,
        make_plan(),
        plan_again=make_plan,
        command=REAP,
        break_lock=break_lock,
    )


def _last_run(session: Session, project: str) -> list[Entry]:
    bucket = bucket_name(account=session.account, region=session.region)
    return history(S3Book(session, bucket, project), count=1)


def _hours(text: str) -> int:
    try:
        return ttl_hours(text)
    except ValueError as error:
        raise UsageError(
            f"`{text}` is not a time", hint="write `--older-than 12h`, `7d` or `2w`"
        ) from error


def _show(late: Sequence[Overdue], left: Mapping[str, Sequence[Owned]]) -> None:
    if not late and not left:
        output.data("nothing to remove")
    for one in late:
        output.data(f"- {one.holding.endpoint} of {one.holding.project}: {one.reason}")
    for project, found in left.items():
        for thing in found:
            output.data(f"- {thing.kind} {thing.name} of {project}: {_LEFT}")


_LEFT = "left by a removal that was cut"


def _described(project: str, one: Owned) -> dict[str, object]:
    return {"project": project, "kind": str(one.kind), "name": one.name, "reason": _LEFT}
