"""`portside rollback`: back to a config that an endpoint ran before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from portside.aws.session import Session
from portside.cli import change, existing, output, plan, target
from portside.cli.next_command import complete, completed
from portside.config import Project
from portside.deploy.desired.name import bucket_name
from portside.deploy.desired.resources import Kind
from portside.deploy.plan.step import Step
from portside.deploy.rollback import (
    COMMAND,
    Past,
    Version,
    choose,
    look_back,
    rollback_steps,
    unfinished,
)
from portside.deploy.run.journal import history
from portside.deploy.run.run import S3Book
from portside.errors import UsageError

COLUMNS = ["  config", "made (UTC)", "answered", "artifact", "image"]

_DIGEST_SHOWN = 10


@click.command()
@click.argument("arguments", metavar="[N] [DIR]", nargs=-1)
@target.option
@click.option("--endpoint", help="Which one, of a project that has several.")
@click.option("--to", metavar="CONFIG", help="An EndpointConfig by its name, instead of N.")
@click.option("--list", "only_list", is_flag=True, help="Show what there is to go back to.")
@click.option("--break-lock", is_flag=True, help="Take the lock from a run that is dead.")
@click.option("--json", "as_json", is_flag=True, help="Print the versions as JSON, on stdout.")
def command(
    arguments: tuple[str, ...],
    where: str,
    endpoint: str | None,
    to: str | None,
    only_list: bool,
    break_lock: bool,
    as_json: bool,
) -> None:
    """Move the endpoint of the project in DIR to the Nth config before the one that runs.

    Nothing is made anew, so it is as quick as an update can be. The next `deploy` goes forward
    again: to what the files ask for.

    \b
    Example:
      portside rollback                 # to the one before
      portside rollback 2 examples/ner
      portside rollback --list
    """
    back, folder = _parse(arguments)
    there = target.named(where)
    project = existing.load(folder, command=COMMAND, where=there)
    name = _named(project, endpoint)
    session = target.connect(where)
    with completed(folder, where=there):
        past = look_back(session, project.name, name)
        if only_list:
            _show(past, as_json=as_json)
            return
        if back is None and to is None:
            again = complete(f"`{COMMAND} 1 --endpoint {name}`", folder, where=there)
            to = _going_on(session, project.name, past, again=again)
        chosen = choose(past, back=back or 1, to=to)
        steps = _carry_out(session, project.name, past, chosen, break_lock=break_lock)
    if as_json:
        output.as_json([plan.described(step) for step in steps])
    else:
        output.data(f"{name} runs {chosen.config}")
        deploy = complete("`portside deploy`", folder, where=there)
        if any(step.kind is Kind.SCALABLE_TARGET for step in steps):
            output.note(f"  its auto scaling is off until the next {deploy}")
        output.note(f"  the next {deploy} goes forward again")


def _carry_out(
    session: Session, project: str, past: Past, chosen: Version, *, break_lock: bool
) -> tuple[Step, ...]:
    def plan_again() -> tuple[Step, ...]:
        return rollback_steps(look_back(session, project, past.endpoint), chosen)

    return change.carry_out(
        session,
        project,
        rollback_steps(past, chosen),
        plan_again=plan_again,
        command=COMMAND,
        break_lock=break_lock,
    )


def _going_on(session: Session, project: str, past: Past, *, again: str) -> str | None:
    """Where a rollback that was cut led to, so that running it again does not go further."""
    bucket = bucket_name(account=session.account, region=session.region)
    config = unfinished(history(S3Book(session, bucket, project), count=1), past)
    if config:
        output.note(f"  going on to {config}: the last rollback did not end")
        output.note(f"  to go back from what runs now: {again}")
    return config


def _parse(arguments: tuple[str, ...]) -> tuple[int | None, Path]:
    """A number first, then a folder; both may be left out."""
    match arguments:
        case ():
            return None, Path()
        case (one,) if one.isdecimal():
            return _count(one), Path()
        case (one,):
            return None, Path(one)
        case (number, folder) if number.isdecimal():
            return _count(number), Path(folder)
        case _:
            raise UsageError(
                f"cannot read `{' '.join(arguments)}` as a number and a folder",
                hint="write `portside rollback [N] [DIR]`",
            )


def _count(number: str) -> int:
    if int(number) < 1:
        raise UsageError(
            "cannot go back by 0 configs", hint="write 1 for the one before, or no number"
        )
    return int(number)


def _named(project: Project, endpoint: str | None) -> str:
    names = [one.name for one in project.endpoints]
    if endpoint is None and len(names) == 1:
        return names[0]
    if endpoint in names:
        return endpoint
    tried = f"there is no `{endpoint}`" if endpoint else f"the project has {len(names)} endpoints"
    raise UsageError(
        f"cannot tell which endpoint to roll back: {tried}",
        hint=f"add `--endpoint NAME` with one of: {', '.join(names)}",
    )


def _show(past: Past, *, as_json: bool) -> None:
    if as_json:
        output.as_json([_described(one) for one in past.versions])
        return
    output.table(COLUMNS, rows(past))


def rows(past: Past) -> list[list[str]]:
    """The versions for people; images only where they differ."""
    has_images = len({one.image for one in past.versions}) > 1
    return [
        [
            f"{'▶' if one.is_live else ' '} {one.config}",
            _date(one.created_at).removesuffix("Z"),
            "yes" if one.is_verified else "not seen",
            _artifact(one),
            _image(one) if has_images else "",
        ]
        for one in past.versions
    ]


def _described(one: Version) -> dict[str, Any]:
    return {
        "config": one.config,
        "created_at": _date(one.created_at),
        "model_data": list(one.model_data),
        "image": list(one.image),
        "is_live": one.is_live,
        "is_verified": one.is_verified,
    }


def _artifact(one: Version) -> str:
    """Of an artifact of Portside's own the digest in its address."""
    return ", ".join(
        url.rsplit("/", 2)[-2][:_DIGEST_SHOWN] if url.count("/") > 2 else url
        for url in one.model_data
    )


def _image(one: Version) -> str:
    """Of an image that is run by its digest that, as of artifacts."""
    return ", ".join(
        digest[:_DIGEST_SHOWN] if digest else reference.rpartition("/")[2]
        for reference in one.image
        for digest in [reference.partition("@sha256:")[2]]
    )


def _date(created_at: float) -> str:
    return f"{datetime.fromtimestamp(created_at, UTC):%Y-%m-%d %H:%M:%SZ}"
