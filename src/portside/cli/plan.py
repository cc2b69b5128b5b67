"""`portside plan`: what `deploy` would do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from portside import config
from portside.artifact.bundle import Artifact
from portside.aws.session import Session
from portside.cli import output, package, target
from portside.deploy.observe import observe
from portside.deploy.plan import Step, plan
from portside.deploy.resources import Artifact as ArtifactResource
from portside.deploy.resources import ModelData, Where, desired

_SIGNS = {"create": "+", "upload": "+", "update": "~", "wait": "…", "delete": "-"}


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@target.option
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON, on stdout.")
def command(folder: Path, where: str, as_json: bool) -> None:
    """Show what `deploy` would do with the project in DIR, and do nothing.

    \b
    Example:
      portside plan examples/ner
    """
    project = config.load(folder)
    artifact = package.make(project)
    session = target.connect(where)
    steps = make(session, project, artifact=artifact)
    if as_json:
        output.as_json([described(step) for step in steps])
    else:
        show(steps, project.name, session)


def make(session: Session, project: config.Project, *, artifact: Artifact) -> tuple[Step, ...]:
    """Look at the account, and plan."""
    data = ModelData(file=artifact.path, size_bytes=artifact.size_bytes, digest=artifact.digest)
    with output.activity("looking at what is there"):
        wanted = desired(project, data, where=Where(account=session.account, region=session.region))
        return plan(wanted, observe(session, wanted))


def show(steps: tuple[Step, ...], project: str, session: Session) -> None:
    """The steps for people, on stdout."""
    place = f"account {session.account}, {session.region}"
    if not steps:
        output.data(f"{project}: nothing to do ({place})")
        return
    output.data(f"{project}: {len(steps)} steps ({place})")
    width = max(len(step.kind) for step in steps)
    for step in steps:
        line = f"  {_SIGNS[step.verb]} {step.verb:6} {step.kind:{width}} {short(step.name)}"
        output.data(f"{line}  ({step.reason})")


def short(name: str) -> str:
    """A name for people: of a whole digest the first ten digits will do."""
    return re.sub(r"([0-9a-f]{10})[0-9a-f]{54}", r"\1…", name)


def described(step: Step) -> dict[str, Any]:
    """A step for programs."""
    names = ("verb", "kind", "name", "reason")
    shown: dict[str, Any] = {name: str(getattr(step, name)) for name in names}
    if isinstance(step.wanted, ArtifactResource):
        shown["size_bytes"] = step.wanted.data.size_bytes
    return shown
