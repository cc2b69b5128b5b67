"""Which AWS is spoken to: a target is a URL and a pair of keys, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from portside.aws.session import Address, Session
from portside.cli import local_process

F = TypeVar("F", bound=Callable[..., Any])

LOCAL = "local"
AWS = "aws"


def option(function: F) -> F:
    """The option `--target` of every command that speaks to AWS."""
    return click.option(
        "--target",
        "where",
        type=click.Choice([LOCAL, AWS]),
        default=LOCAL,
        show_default=True,
        help="The local AWS, started when it is not running, or AWS itself.",
    )(function)


def connect(where: str) -> Session:
    """A session with the target; the local AWS is started when it is not running."""
    if where == AWS:
        return Session(Address())
    return Session(local_process.ensure_running().address)
