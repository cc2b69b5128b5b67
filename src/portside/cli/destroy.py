"""`portside destroy`: remove what this project made, and nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from portside import config
from portside.cli import change, output, plan, target
from portside.deploy.current.current import Owned
from portside.deploy.current.owned import observe_owned
from portside.deploy.desired import name
from portside.deploy.inventory import owned_by
from portside.deploy.plan.plan import plan_removal
from portside.deploy.plan.step import Step
from portside.deploy.removal import check_gone, check_unused, remove_bucket
from portside.errors import UsageError


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@target.option
@click.option("--yes", is_flag=True, help="Do not ask (AWS only; the local AWS never asks).")
@click.option("--endpoint", help="Only this one, with all that only it needs.")
@click.option("--bucket", is_flag=True, help="The bucket as well, if nobody else uses it.")
@click.option("--break-lock", is_flag=True, help="Take the lock from a run that is dead.")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON, on stdout.")
def command(
    folder: Path,
    where: str,
    yes: bool,
    endpoint: str | None,
    bucket: bool,
    break_lock: bool,
    as_json: bool,
) -> None:
    """Remove everything that the project in DIR made; nothing without its tag is touched.

    The bucket stays, because other projects share it, unless `--bucket` is given.

    \b
    Example:
      portside destroy examples/ner
      portside destroy --endpoint ner-old
    """
    if endpoint and bucket:
        raise UsageError(
            "cannot remove the bucket with one endpoint: the project's others need it",
            hint="leave out `--bucket`, or `--endpoint`",
        )
    project = config.load(folder)
    session = target.connect(where)
    bucket_name = name.bucket_name(account=session.account, region=session.region)

    def look() -> tuple[Owned, ...]:
        owned = observe_owned(session, project.name)
        return owned_by([endpoint], owned, region=session.region) if endpoint else owned

    def make_plan() -> tuple[Step, ...]:
        owned = look()
        check_unused(session, owned)
        return plan_removal(owned)

    with output.activity("looking for what this project made"):
        steps = make_plan()
    if steps and where == target.AWS and not yes:
        plan.show(steps, project.name, session)
        output.confirm("Remove all of this?")
    if steps:
        steps = change.carry_out(
            session,
            project.name,
            steps,
            plan_again=make_plan,
            command="portside destroy",
            break_lock=break_lock,
        )
        check_gone(look)
    if bucket:
        remove_bucket(session, bucket_name, project=project.name)
    if as_json:
        output.as_json([plan.described(step) for step in steps])
        return
    if steps:
        count = "1 resource" if len(steps) == 1 else f"{len(steps)} resources"
        output.data(f"{project.name}: removed {count}")
    elif not bucket:
        output.data(f"{project.name}: nothing to remove")
    if bucket:
        output.data(f"removed the bucket {bucket_name}")
    elif steps and not endpoint:
        output.note(f"  left: bucket {bucket_name}, with the journal of what was done")
