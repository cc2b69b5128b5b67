"""`portside destroy`: remove what this project made, and nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from portside import config
from portside.cli import deploy, output, plan, target
from portside.deploy.observe import observe_owned
from portside.deploy.plan import plan_removal
from portside.deploy.resources import bucket_name


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@target.option
@click.option("--yes", is_flag=True, help="Do not ask (AWS only; the local AWS never asks).")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON, on stdout.")
def command(folder: Path, where: str, yes: bool, as_json: bool) -> None:
    """Remove everything that the project in DIR made; nothing without its tag is touched.

    The bucket stays: other projects share it.

    \b
    Example:
      portside destroy examples/ner
    """
    project = config.load(folder)
    session = target.connect(where)
    with output.activity("looking for what this project made"):
        steps = plan_removal(observe_owned(session, project.name))
    if steps and where == target.AWS and not yes:
        plan.show(steps, project.name, session)
        output.confirm("Remove all of this?")
    deploy.carry_out(session, steps)
    if as_json:
        output.as_json([plan.described(step) for step in steps])
        return
    if not steps:
        output.data(f"{project.name}: nothing to remove")
        return
    output.data(f"{project.name}: removed {len(steps)} resources")
    output.note(f"  left: bucket {bucket_name(account=session.account, region=session.region)}")
