"""Which AWS is spoken to: a target is a URL and a pair of keys, nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from portside.cli import local_process, output
from portside.cli.next_command import completed

if TYPE_CHECKING:
    from portside.aws.session import Session

F = TypeVar("F", bound=Callable[..., Any])

LOCAL = "local"
AWS = "aws"


def option(function: F) -> F:
    """The option `--target` of every command that speaks to AWS.

    Next commands that its errors name get the same target, and its folder.
    """

    @wraps(function)
    def told(*arguments: object, **options: object) -> object:
        folder = options.get("folder")
        known = folder if isinstance(folder, Path) else None
        with completed(known, where=named(str(options["where"]))):
            return function(*arguments, **options)

    option = click.option(
        "--target",
        "where",
        type=click.Choice([LOCAL, AWS]),
        default=LOCAL,
        show_default=True,
        help="The local AWS, started when it is not running, or AWS itself.",
    )
    return cast("F", option(told))


def named(where: str) -> str | None:
    """The target as a command has to name it; None for the one that it has by itself."""
    return None if where == LOCAL else where


def connect(where: str) -> Session:
    """A session with the target; the local AWS is started when it is not running."""
    from portside.aws.session import Address, Session  # noqa: PLC0415 - boto3 is of an extra

    if where == AWS:
        if elsewhere := os.environ.get("AWS_ENDPOINT_URL"):
            output.note(f"AWS_ENDPOINT_URL is set: `--target aws` is {elsewhere}")
        return Session(Address())
    return Session(local_process.ensure_running().address)


def check(where: str) -> None:
    """Whether AWS can be spoken to at all, before anything is made for it."""
    if where == AWS:
        connect(where).account  # noqa: B018 - a call to STS
