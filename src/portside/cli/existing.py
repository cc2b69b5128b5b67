"""The project of a command that makes nothing: it has to be there.

`deploy` takes any folder with a model. To look at an endpoint, or to move it, in a folder that
only happens to be the current one would end in a question about an endpoint that never was.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from portside import config
from portside.cli.next_command import complete
from portside.errors import UsageError

_SHOWN = 3
"""Projects that a hint names."""


def load(folder: Path, *, command: str, where: str | None) -> config.Project:
    """The project in a folder. Raises `UsageError` where nothing there is one's, and names others.

    `command` is the one to name for those; `where` is as for `next_command.complete`.
    """
    project = config.load(folder)
    signs = [project.root / name for name in (config.FILE_NAME, "pyproject.toml")]
    if project.model or project.handler or any(sign.is_file() for sign in signs):
        return project
    near = sorted(file.parent for file in folder.glob(f"*/{config.FILE_NAME}"))[:_SHOWN]
    others = ", ".join(
        complete(f"`{command} {shlex.quote(str(one))}`", None, where=where) for one in near
    )
    raise UsageError(
        f"cannot find a project in `{project.root}`: it has no `{config.FILE_NAME}` and no model",
        hint=f"name its folder: {others}"
        if others
        else f"name its folder: `{command} DIR`; `portside ls` shows all endpoints",
    )
