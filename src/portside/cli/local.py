"""`portside local`: the local AWS, started, stopped, looked at, emptied."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from portside import __version__
from portside.aws import sagemaker, signed
from portside.aws.session import Session
from portside.cli import local_process, output
from portside.errors import UsageError
from portside.image.reference import runtime_image
from portside.local import DEFAULT_PORT

F = TypeVar("F", bound=Callable[..., Any])


def _data_option(function: F) -> F:
    return click.option(
        "--data",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        envvar=local_process.ENV_DATA,
        help="The folder that keeps everything.  [default: ~/.local/share/portside/local]",
    )(function)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, on stdout.")


def _twelve_digits(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9]{12}", value):
        raise click.BadParameter(f"`{value}` is not twelve digits")
    return value


@click.group()
def command() -> None:
    """Start, stop and look at the local AWS.

    \b
    Example:
      portside local start
      eval "$(portside local env)"
      aws sagemaker list-endpoints
    """


@command.command()
@_data_option
@click.option(
    "--port",
    type=click.IntRange(0, local_process.HIGHEST_PORT),
    envvar=local_process.ENV_PORT,
    help=f"Port on 127.0.0.1; 0 takes a free one.  [default: {DEFAULT_PORT}]",
)
@click.option("--account", callback=_twelve_digits, help="Twelve digits.  [default: 000000000000]")
@click.option("--region", help="[default: us-east-1]")
def start(folder: Path | None, port: int | None, account: str | None, region: str | None) -> None:
    """Start it in the background; what was there before is there again."""
    choice = local_process.Choice(port=port, account=account, region=region)
    found = local_process.find(folder)
    if found is None:
        found = local_process.start(choice, folder)
    elif different := choice.differs_from(found.running):
        raise UsageError(
            f"the local AWS is running already, with another {different}: {found.running.url}",
            hint="stop it first: `portside local stop`",
        )
    else:
        output.note(f"the local AWS is running already: {found.running.url}")
    output.data(found.running.url)


@command.command()
@_data_option
def stop(folder: Path | None) -> None:
    """Stop it; everything is kept for the next start."""
    if not local_process.stop(folder):
        output.note("the local AWS is not running")


@command.command()
@_data_option
@_json_option
def status(folder: Path | None, as_json: bool) -> None:
    """Show where it listens and what it runs."""
    found = local_process.find(folder)
    if as_json:
        output.as_json(
            {"running": False}
            if found is None
            else {"running": True, **asdict(found.running), "endpoints": _endpoints(found)}
        )
        return
    if found is None:
        output.data("the local AWS is not running")
        output.note("start it: portside local start")
        return
    running = found.running
    output.data(f"{running.url}  account {running.account}, {running.region}, pid {running.pid}")
    endpoints = _endpoints(found)
    if endpoints:
        rows = [[entry["name"], entry["status"], entry["reason"]] for entry in endpoints]
        output.table(["endpoint", "status", "reason"], rows)
    else:
        output.data("no endpoints")


@command.command()
@_data_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(folder: Path | None, yes: bool) -> None:
    """Empty it: endpoints, models, buckets, roles and logs."""
    found = _running(folder)
    if not yes:
        output.confirm(f"Remove everything in {found.running.url}?")
    with output.activity("emptying the local AWS"):
        signed.post(Session(found.address), f"{found.running.url}/_portside/reset")


@command.command()
@_data_option
@_json_option
def env(folder: Path | None, as_json: bool) -> None:
    """Print what any client needs, as shell exports.

    \b
    Example:
      eval "$(portside local env)"
    """
    found = _running(folder)
    running, address = found.running, found.address
    image = runtime_image(account=running.account, region=running.region, version=__version__)
    variables = {
        "AWS_ENDPOINT_URL": running.url,
        "AWS_ACCESS_KEY_ID": address.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": address.secret_access_key or "",
        "AWS_REGION": running.region,
        "AWS_DEFAULT_REGION": running.region,
        "PORTSIDE_RUNTIME_IMAGE": str(image),
    }
    if as_json:
        output.as_json(variables)
        return
    for name, value in variables.items():
        output.data(f"export {name}={shlex.quote(value)}")
    # No proxy leads to this machine.
    output.data('export NO_PROXY="127.0.0.1${NO_PROXY:+,$NO_PROXY}"')
    # A token left over from a login to AWS would be sent along, and refused.
    output.data("unset AWS_SESSION_TOKEN")


def _running(folder: Path | None) -> local_process.Found:
    found = local_process.find(folder)
    if found is None:
        raise UsageError("the local AWS is not running", hint="run `portside local start`")
    return found


def _endpoints(found: local_process.Found) -> list[dict[str, str]]:
    session = Session(found.address)
    names = [name for name, _ in sagemaker.list_endpoints(session)]
    described = (sagemaker.describe_endpoint(session, name) for name in names)
    return [
        {"name": now.name, "status": now.status, "reason": now.reason} for now in described if now
    ]
