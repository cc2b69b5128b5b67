"""Whether an image that others made starts as SageMaker starts it: `docker run IMAGE serve`.

The argument takes the place of CMD. With an ENTRYPOINT it is the program's argument; without one
it is the program. Source: DG your-algorithms-inference-code, "How SageMaker AI Runs Your
Inference Image".
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from portside import contract
from portside.errors import BuildError
from portside.image.file_tree import FileTree, Node
from portside.image.oci import Config, Execution

_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines set where an image sets none (containers/common, pkg/config)."""

_SHELL: Final = ("/bin/sh", "-c")


def check_entry_point(config: Config, tree: FileTree, *, dockerfile: Path) -> str | None:
    """Raise `BuildError` for a program that is not there; a warning for one behind a shell."""
    execution = config.config or Execution()
    words = execution.entrypoint or ()
    if not words:
        _check_program(contract.SERVE_ARGUMENT, execution, tree, dockerfile=dockerfile)
        return None
    _check_program(words[0], execution, tree, dockerfile=dockerfile)
    if words[:2] != _SHELL:
        return None
    return (
        f"`ENTRYPOINT {words[-1]}` runs in a shell: neither `{contract.SERVE_ARGUMENT}` nor the "
        "signal to stop reaches the program, which is killed after 30 s; write it as a list, "
        '`ENTRYPOINT ["PROGRAM", "ARGUMENT"]`'
    )


def _check_program(name: str, execution: Execution, tree: FileTree, *, dockerfile: Path) -> None:
    found = [node for path in _paths(name, execution) if (node := tree.find(path)) is not None]
    if any(node.is_program for node in found):
        return
    raise _missing(name, found, is_named=bool(execution.entrypoint), dockerfile=dockerfile)


def _paths(name: str, execution: Execution) -> list[str]:
    """Where the program may be, as execvp(3) looks for it."""
    if "/" in name:
        return [str(PurePosixPath("/", execution.working_dir, name))]
    variables = dict(line.partition("=")[::2] for line in execution.env or ())
    folders = variables.get("PATH", _DEFAULT_PATH).split(":")
    return [f"{folder}/{name}" for folder in folders]


def _missing(name: str, found: list[Node], *, is_named: bool, dockerfile: Path) -> BuildError:
    if found:
        return BuildError(
            f"the image of `{dockerfile}` cannot start: `{name}` may not be executed",
            hint=f"add `RUN chmod +x` with its path to `{dockerfile.name}`",
        )
    if is_named:
        return BuildError(
            f"the image of `{dockerfile}` cannot start: its ENTRYPOINT `{name}` is not in it",
            hint=f"install or copy it in `{dockerfile.name}`, or name another ENTRYPOINT",
        )
    return BuildError(
        f"SageMaker starts images with `{name}`, and that of `{dockerfile}` has neither an "
        "ENTRYPOINT nor a program of this name",
        hint=f'add to `{dockerfile.name}`: `ENTRYPOINT ["PROGRAM", "ARGUMENT"]`',
    )
