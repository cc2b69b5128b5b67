"""The user's code on its way into the artifact: `code/inference.py` and what it needs.

Two rules. A handler in a folder called `code` brings the whole folder. From any
other place it brings itself and the modules and packages beside it that it
imports, and those that they import: a project's folder also holds training code
and notebooks, and nothing of these should change the endpoint.
"""

from __future__ import annotations

import ast
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from portside import contract
from portside.archive import Member
from portside.artifact.folder.content import read_content
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE: Final = PurePosixPath(contract.CODE_DIR_NAME)


def handler_members(handler: Path) -> tuple[Member, ...]:
    """The members that the handler file `handler` makes; raises `BuildError`."""
    if not handler.is_file():
        raise BuildError(
            f"cannot package the handler `{handler}`: there is no such file",
            hint="set `[handler] file` in `portside.toml` to your `inference.py`",
        )
    folder = handler.parent
    beside = _whole(folder, folder) if folder.name == CODE.name else _imported(handler)
    found = {path: source for path, source in beside if source != handler}
    program = PurePosixPath(contract.DEFAULT_PROGRAM)
    if program in found:
        raise BuildError(
            f"cannot package the handler `{handler}` as `{program}`: there is another `{program}` "
            "beside it",
            hint=f"rename one of the two, or set `[handler] file` to `{found[program]}`",
        )
    found[program] = handler.resolve() if handler.is_symlink() else handler
    return tuple(Member(name=str(CODE / path), source=source) for path, source in found.items())


def _whole(folder: Path, root: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """All files of a folder but caches, named from `root`."""
    for file in read_content(folder).files:
        yield PurePosixPath((folder / file.path).relative_to(root)), file.source


def _imported(handler: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """The modules beside the handler that it imports, directly or not."""
    folder = handler.parent
    waiting = [handler]
    seen: set[str] = set()
    while waiting:
        for name in _imported_names(waiting.pop()) - seen:
            seen.add(name)
            for path, source in _module(folder, name):
                waiting.append(source)
                yield path, source


def _module(folder: Path, name: str) -> Iterator[tuple[PurePosixPath, Path]]:
    module = folder / f"{name}.py"
    if module.is_file():
        yield PurePosixPath(module.name), module
    elif (folder / name / "__init__.py").is_file():
        yield from _whole(folder / name, folder)


def _imported_names(source: Path) -> set[str]:
    """First parts of the absolute imports, wherever in the file they stand."""
    if source.suffix != ".py":
        return set()
    try:
        tree = ast.parse(source.read_bytes(), filename=str(source))
    except (SyntaxError, ValueError) as error:
        raise BuildError(
            f"cannot package the handler: `{source}` is not Python: {error}",
            hint=f"see what `python -m py_compile {source}` says",
        ) from error
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module.partition(".")[0])
            case _:
                pass
    return names
