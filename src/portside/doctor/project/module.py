"""Checks of modules of the project's own: that they go along with the handler, and are found.

What goes along says `artifact.handler`: all of a folder called `code`, otherwise the modules and
packages beside the handler that it imports, each by its own name.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple, assert_never

from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.project.fact import LocalModule, Place, Project, Source
from portside.doctor.project.requirement import installed, normal
from portside.doctor.project.tree import Tree

_CODE: Final = "code"


def _left_behind(project: Project) -> Iterator[Spot]:
    own = left_behind(project)
    for source in project.code:
        for name, line in Tree(source.tree).required_imports() if source.tree else ():
            first, rest = name.partition(".")[::2]
            where = f"{source.where}:{line}"
            if project.is_by_folder(name):
                yield Spot(
                    where=where,
                    what=f"`{name}` is not found: in an instance the folder's files are imported "
                    "by their own names",
                    mend=f"write `{rest}` in place of `{name}`",
                )
            elif first in own:
                yield Spot(where=where, what=own[first].what, mend=own[first].mend)


class LeftBehind(NamedTuple):
    """Why a module of the project is not found in an instance, and what to do about it."""

    what: str
    mend: str


def left_behind(project: Project) -> dict[str, LeftBehind]:
    """The modules of the project that do not go along, by their first names.

    Without those that are called as a package that the image has, or a module of Python's own.
    """
    has = installed(project)
    return {
        name: _explained(name, found, project)
        for name, found in project.local_modules.items()
        if name not in project.module_names
        and name not in sys.stdlib_module_names
        and normal(name) not in has
    }


def _explained(name: str, found: LocalModule, project: Project) -> LeftBehind:
    handler = project.handler.where if project.handler else "inference.py"
    folder, _, file = handler.rpartition("/")
    what = f"`{name}` is in the project (`{found.where}`), and does not go along with the handler"
    match found.place:
        case Place.PLAIN_FOLDER:
            mend = f"add an empty `{found.where}/__init__.py`: beside the handler packages go along"
        case Place.ELSEWHERE if folder.rpartition("/")[2] == _CODE:
            mend = f"move it into `{folder}/`, which goes along as a whole"
        case Place.ELSEWHERE:
            mend = (
                f"move it beside `{handler}`, where what is imported goes along; or move both into "
                f'a folder `code/`, which does as a whole, and set `handler.file = "code/{file}"`'
            )
        case _:
            assert_never(found.place)
    return LeftBehind(what, mend)


def _relative(project: Project) -> Iterator[Spot]:
    for source in project.code:
        if not _is_beside_handler(source, project) or source.tree is None:
            continue
        for node in Tree(source.tree).relative_imports():
            names = ", ".join(alias.name for alias in node.names)
            better = f"from {node.module} import {names}" if node.module else f"import {names}"
            yield Spot(
                where=f"{source.where}:{node.lineno}",
                what=f"`{ast.unparse(node)}` fails: the handler is imported by itself, not as part "
                "of a package",
                mend=f"write `{better}`",
            )


def _is_beside_handler(source: Source, project: Project) -> bool:
    """Whether it is imported by its own name, not as part of a package."""
    handler = project.handler
    folders = (each.where.rpartition("/")[0] for each in (source, handler) if each)
    return len(set(folders)) == 1


RELATIVE: Final = Check(
    name="module-relative",
    severity=Severity.ERROR,
    tells="the handler imports with a dot, and is in no package",
    source="sagemaker-inference-toolkit, `transformer.py`",
    look=_relative,
)
CHECKS: Final[tuple[Check[Project], ...]] = (
    Check(
        name="module-left-behind",
        severity=Severity.ERROR,
        tells="the code imports a module of the project that does not go along with it",
        source="docs/reference/build.md",
        look=_left_behind,
    ),
    RELATIVE,
)
