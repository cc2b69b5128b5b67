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
from portside.cli import local_process, output
from portside.contract import INVOCATION_TIMEOUT_S
from portside.errors import UsageError
from portside.image.reference import runtime_image
from portside.local import DEFAULT_IDLE_TIMEOUT_S, DEFAULT_PORT
from portside.local.instance.launcher import EngineChoice

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
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1, this machine only]")
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Let other machines reach it, with keys from PORTSIDE_ACCESS_KEY_ID "
    "and PORTSIDE_SECRET_ACCESS_KEY.",
)
@click.option(
    "--port",
    type=click.IntRange(0, local_process.HIGHEST_PORT),
    envvar=local_process.ENV_PORT,
    help=f"Port to listen on; 0 takes a free one.  [default: {DEFAULT_PORT}]",
)
@click.option(
    "--s3",
    metavar="URL",
    help="Keep objects in the S3 at this address, with keys from PORTSIDE_S3_ACCESS_KEY_ID "
    "and PORTSIDE_S3_SECRET_ACCESS_KEY.  [default: one of our own]",
)
@click.option("--account", callback=_twelve_digits, help="Twelve digits.  [default: 000000000000]")
@click.option("--region", help="[default: us-east-1]")
@click.option(
    "--engine",
    type=click.Choice([choice.value for choice in EngineChoice]),
    help="What instances run in.  [default: auto, Portside's own runtime as a process and any "
    "other image as a container of docker or podman]",
)
@click.option(
    "--iam",
    type=click.Choice(["on", "off"]),
    help="Whether a Model's execution role must exist and may read artifact and image.  "
    "[default: on]",
)
@click.option(
    "--idle-timeout-s",
    type=click.FloatRange(min=0.001, max=1e9),
    help="Stop a serverless instance that nobody calls after so long.  "
    f"[default: {DEFAULT_IDLE_TIMEOUT_S:.0f}]",
)
@click.option(
    "--invocation-timeout-s",
    type=click.FloatRange(min=0.001, max=1e9),
    help="Time in which an instance has to answer.  "
    f"[default: {INVOCATION_TIMEOUT_S:.0f}, as on AWS]",
)
@click.option(
    "--pace",
    type=click.FloatRange(min=1, max=60),
    help="Let the waits of updates, alarms and auto scaling go by so many times faster than on "
    "AWS.  [default: 1]",
)
@click.option(
    "--strict-payload",
    is_flag=True,
    default=None,
    help="Refuse real-time bodies over 6 MB, the limit of the API Reference, and not only "
    "those over 25 MB.",
)
def start(
    folder: Path | None,
    host: str | None,
    allow_remote: bool,
    port: int | None,
    s3: str | None,
    account: str | None,
    region: str | None,
    engine: str | None,
    iam: str | None,
    idle_timeout_s: float | None,
    invocation_timeout_s: float | None,
    pace: float | None,
    strict_payload: bool | None,
) -> None:
    """Start it in the background; what was there before is there again."""
    choice = local_process.Choice(
        host=host,
        allow_remote=allow_remote,
        port=port,
        s3=s3.rstrip("/") if s3 else None,
        account=account,
        region=region,
        engine=engine,
        iam=iam,
        idle_timeout_s=idle_timeout_s,
        invocation_timeout_s=invocation_timeout_s,
        pace=pace,
        strict_payload=strict_payload,
    )
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
    from portside.cli import local_call  # noqa: PLC0415  it brings boto3, which `start` can spare

    found = local_process.find(folder)
    if as_json:
        output.as_json(
            {"running": False}
            if found is None
            else {
                "running": True,
                **asdict(found.running),
                "endpoints": local_call.endpoints(found),
            }
        )
        return
    if found is None:
        output.data("the local AWS is not running")
        output.note("start it: portside local start")
        return
    running = found.running
    output.data(
        f"{running.url}  account {running.account}, {running.region}, engine {running.engine},"
        f" pid {running.pid}"
    )
    endpoints = local_call.endpoints(found)
    if endpoints:
        rows = [
            [
                entry["name"],
                entry["status"],
                str(entry["invocations"]["cold"]),
                str(entry["invocations"]["warm"]),
            ]
            for entry in endpoints
        ]
        reasons = [entry["reason"] for entry in endpoints]
        output.table(["endpoint", "status", "cold", "warm"], rows, below=reasons)
    else:
        output.data("no endpoints")


@command.command()
@_data_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(folder: Path | None, yes: bool) -> None:
    """Empty it: endpoints, models, buckets, roles and logs."""
    from portside.cli import local_call  # noqa: PLC0415  it brings boto3, which `start` can spare

    found = _running(folder)
    if not yes:
        output.confirm(f"Remove everything in {found.running.url}?")
    with output.activity("emptying the local AWS"):
        local_call.reset(found)


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
    running, keys = found.running, found.keys
    image = runtime_image(account=running.account, region=running.region, version=__version__)
    variables = {
        "AWS_ENDPOINT_URL": running.url,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
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
