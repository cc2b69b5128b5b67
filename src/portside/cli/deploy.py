"""`portside deploy`: make the project's endpoints what the file asks for."""

from __future__ import annotations

from pathlib import Path

import click

from portside import config
from portside.cli import change, output, plan, product, target
from portside.cli.verification import verifier
from portside.deploy.price.price import check_budget


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@target.option
@product.option
@click.option("--yes", is_flag=True, help="Take on what costs while idle (AWS only).")
@click.option("--break-lock", is_flag=True, help="Take the lock from a run that is dead.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps done as JSON, on stdout.")
def command(
    folder: Path, where: str, with_image: bool, yes: bool, break_lock: bool, as_json: bool
) -> None:
    """Deploy the project in DIR; what is there already stays as it is.

    Safe to repeat: an unchanged project does nothing, an interrupted deployment goes on.

    \b
    Example:
      portside deploy examples/ner
    """
    project = config.load(folder)
    target.check(where)
    made = product.make(project, where=where, with_image=with_image)
    session = target.connect(where)

    def look() -> plan.Look:
        found = plan.look(session, project, made)
        if where == target.AWS and not yes:
            check_budget(
                project,
                found.prices,
                steps=found.steps,
                desired=found.wanted,
                current=found.current,
                region=session.region,
            )
        return found

    with output.activity(plan.LOOKING):
        looked = look()
    plan.show_left_over(looked, where)
    if looked.steps:
        plan.show_prices(looked.prices, where)
        steps = change.carry_out(
            session,
            project.name,
            looked.steps,
            plan_again=lambda: look().steps,
            command="portside deploy",
            break_lock=break_lock,
            push=product.pusher(made, project, session),
            verify=verifier(session, project),
        )
    else:
        steps = ()
    if as_json:
        output.as_json([plan.described(step, looked.prices) for step in steps])
    elif not steps:
        plan.show(steps, project.name, session)
    else:
        for endpoint in project.endpoints:
            output.data(f"{endpoint.name} is InService")
