"""The next command that a message names, as the user has to type it.

What stands below `cli` knows neither folder nor target: it says `portside rollback`, and here
that becomes `portside rollback my-model --target aws`, which runs where it was read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from portside.errors import PortsideError

_OF_A_PROJECT: Final = ("plan", "deploy", "status", "rollback", "destroy")
"""They take a folder, and a target."""

_OF_AN_ACCOUNT: Final = ("invoke", "logs", "ls", "reap", "export", "console")
"""They take a target alone."""

_COMMAND: Final = re.compile(r"`portside (?P<name>[a-z]+)(?P<rest>[^`]*)`")

_AS_IT_IS: Final = re.compile(r"\b(DIR|ENDPOINT)\b|--help")
"""What only shows how a command is written."""


@contextmanager
def completed(folder: Path | None, *, where: str | None) -> Iterator[None]:
    """Around a command: what the hints of its errors name runs as printed; see `complete`."""
    try:
        yield
    except PortsideError as error:
        error.hint = error.hint and complete(error.hint, folder, where=where)
        raise


def complete(text: str, folder: Path | None, *, where: str | None) -> str:
    """A text whose commands name the folder and the target that this one was given.

    `folder` is None where no more than the target is known, `where` is None for the target that a
    command has by itself. What a command names already stays.
    """

    def told(found: re.Match[str]) -> str:
        name, rest = found["name"], found["rest"]
        if name not in (*_OF_A_PROJECT, *_OF_AN_ACCOUNT) or _AS_IT_IS.search(rest):
            return found[0]
        is_known = folder is None or folder == Path() or _is_named(folder, rest)
        if name in _OF_A_PROJECT and not is_known:
            rest += f" {shlex.quote(str(folder))}"
        if where and "--target" not in rest:
            rest += f" --target {where}"
        return f"`portside {name}{rest}`"

    return _COMMAND.sub(told, text)


def _is_named(folder: Path, rest: str) -> bool:
    """Whether a command names the folder already, or one in it."""
    return any(Path(word).is_relative_to(folder) for word in shlex.split(rest))
