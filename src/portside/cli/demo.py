"""`portside demo`: the whole way on the bundled example, from nothing to an answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click

from portside import config
from portside.cli import change, local_process, logs, output, plan, product, target
from portside.cli.verification import verifier
from portside.client.entity import marked
from portside.client.invoke import invoke
from portside.deploy.current.owned import observe_owned
from portside.deploy.plan.plan import plan_removal
from portside.deploy.plan.step import Step
from portside.errors import BuildError

NAME = "portside-demo"

REQUEST = {
    "strings": [
        "Ada Lovelace met Charles Babbage in London.",
        "Leon Kennedy moved to 12 Baker Street, Springfield, Illinois; call him at 555 0100.",
    ]
}


@click.command()
def command() -> None:
    """Deploy the bundled example to the local AWS, ask it, and remove it again.

    A real trained model for named entities, the genuine API, no AWS account, no Docker.

    \b
    Example:
      portside demo
    """
    folder = _example()
    output.title("1. A trained model")
    _fetch_model(folder)
    project = _renamed(config.load(folder))

    output.title("2. A SageMaker on this machine")
    was_running = local_process.find() is not None
    session = target.connect(target.LOCAL)

    output.title("3. From the folder to an endpoint")
    made = product.make(project, where=target.LOCAL)

    def make_plan() -> tuple[Step, ...]:
        return plan.look(session, project, made).steps

    with output.activity(plan.LOOKING):
        steps = make_plan()
    plan.show(steps, project.name, session)
    change.carry_out(
        session,
        project.name,
        steps,
        plan_again=make_plan,
        command="portside demo",
        verify=verifier(session, project),
    )

    output.title("4. A prediction")
    body = json.dumps(REQUEST).encode()
    answer = invoke(session, project.name, body=body)
    output.note(f"{answer.variant} answered in {answer.took_ms:.0f} ms")
    for spans in marked(body, answer.body):
        output.spans(spans)
    for entities in json.loads(answer.body):
        for found in entities:
            output.json_line(found)

    output.title("5. The logs")
    logs.show_tail(session, project.name, count=2)
    kept = local_process.default_folder() / "logs"
    output.note(f"  all of it: `portside logs {project.name}`, kept in {kept}")

    output.title("6. Everything removed")

    def make_removal() -> tuple[Step, ...]:
        return plan_removal(observe_owned(session, project.name))

    change.carry_out(
        session, project.name, make_removal(), plan_again=make_removal, command="portside demo"
    )
    if not was_running:
        local_process.stop()
    _say_what_next(folder)


def _renamed(project: config.Project) -> config.Project:
    """The example under a name of its own: the user may have deployed it under its usual one."""
    (endpoint,) = project.endpoints
    return replace(project, name=NAME, endpoints=(replace(endpoint, name=NAME),))


def _say_what_next(folder: Path) -> None:
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    portside = "portside" if shutil.which("portside") else str(Path(sys.argv[0]))
    output.title("Next")
    output.note(f"  {portside} deploy {shown}")
    output.note(
        f"""  {portside} invoke ner --data '{{"strings": ["Grace Hopper lives in New York"]}}'"""
    )
    output.note(f"  {portside} init my-model")


def _example() -> Path:
    """The example's folder: in a checkout where it stands, else a copy in this folder."""
    package = Path(__file__).parent
    checkout = package.parents[2] / "examples" / "ner"
    if checkout.is_dir():
        return checkout
    copy = Path.cwd() / "portside-ner"
    if not copy.exists():
        shutil.copytree(package / "example_ner", copy)
        output.done(f"copied the example to {copy}")
    return copy


def _fetch_model(folder: Path) -> None:
    with output.activity("the model of the example (12 MB, fetched once)"):
        done = subprocess.run(
            [sys.executable, str(folder / "fetch_model.py")],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(
                f"cannot fetch the example's model: {done.stderr.strip()}",
                hint="check the network and run the same command again",
            )
