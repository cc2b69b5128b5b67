"""`portside deploy`: make the project's endpoints what the file asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from portside import config
from portside.aws.session import Session
from portside.cli import logs, output, package, plan, target
from portside.deploy.apply import Applier
from portside.deploy.plan import Step
from portside.deploy.resources import Artifact
from portside.errors import DeployError, UsageError


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@target.option
@click.option("--json", "as_json", is_flag=True, help="Print the steps done as JSON, on stdout.")
def command(folder: Path, where: str, as_json: bool) -> None:
    """Deploy the project in DIR; what is there already stays as it is.

    Safe to repeat: an unchanged project does nothing, an interrupted deployment goes on.

    \b
    Example:
      portside deploy examples/ner
    """
    if where == target.AWS:
        # Everything before the image would be made, and CreateModel would then refuse.
        raise UsageError(
            "cannot deploy to AWS yet: this version does not push the serving image to ECR",
            hint="deploy to the local AWS: `portside deploy --target local`",
        )
    project = config.load(folder)
    artifact = package.make(project)
    session = target.connect(where)
    steps = plan.make(session, project, artifact=artifact)
    carry_out(session, steps)
    if as_json:
        output.as_json([plan.described(step) for step in steps])
    elif not steps:
        plan.show(steps, project.name, session)
    else:
        for endpoint in project.endpoints:
            output.data(f"{endpoint.name} is InService")


def carry_out(session: Session, steps: tuple[Step, ...]) -> None:
    """Apply a plan and show each step as it goes; where it fails, what the instances printed."""
    try:
        Applier(session, _shown).apply(steps)
    except DeployError as error:
        if error.endpoint:
            logs.show_tail(session, error.endpoint)
        raise


@contextmanager
def _shown(step: Step) -> Iterator[_Shown]:
    """A spinner for each step, a bar for the upload."""
    text = f"{step.verb} {step.kind} {plan.short(step.name)}"
    if isinstance(step.wanted, Artifact):
        with output.transfer(text, total_bytes=step.wanted.data.size_bytes) as sent:
            yield _Shown(status=lambda _: None, sent=sent)
    else:
        with output.activity(text) as status:
            yield _Shown(status=status, sent=lambda _: None)


class _Shown:
    """One step on the terminal."""

    def __init__(self, *, status: Callable[[str], None], sent: Callable[[int], None]) -> None:
        self.status = status
        self.sent = sent
