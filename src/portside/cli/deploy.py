"""`portside deploy`: make the project's endpoints what the file asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from portside import config
from portside.aws.session import Session
from portside.cli import output, plan, product, target
from portside.cli.product import Product
from portside.deploy.plan.step import Step
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
    plan.show_left_over(looked, folder, where)
    if looked.steps:
        from portside.cli.doctor_refusal import refuse  # noqa: PLC0415 - see `_carry_out`

        refuse(project, folder)
        plan.show_prices(looked.prices, where)
        steps = _carry_out(
            looked.steps, lambda: look().steps, project, made, session, break_lock=break_lock
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


def _carry_out(
    steps: tuple[Step, ...],
    plan_again: Callable[[], tuple[Step, ...]],
    project: config.Project,
    made: Product,
    session: Session,
    *,
    break_lock: bool,
) -> tuple[Step, ...]:
    # Here, because nothing to do is what most deployments find, and soon.
    from portside.cli import change, product_image  # noqa: PLC0415 - see above
    from portside.cli.verification import verifier  # noqa: PLC0415 - see above

    push = None if made.image is None else product_image.pusher(made.image, project, session)
    return change.carry_out(
        session,
        project.name,
        steps,
        plan_again=plan_again,
        command="portside deploy",
        break_lock=break_lock,
        push=push,
        verify=verifier(session, project),
    )
