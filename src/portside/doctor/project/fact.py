"""What is known of a project, as values; `gather` reads it from the folder.

Every `where` is a path as the user would type it from where the command was called.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from portside import config, contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that another command would refuse, in its own words."""

    where: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text file."""

    where: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A Python file; `tree` is None where it is none, and `flaw` and `line` tell why."""

    where: str
    text: str
    tree: ast.Module | None
    flaw: str = ""
    line: int = 1


class MemberKind(StrEnum):
    """What lies in an archive."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveMember:
    """A name in an archive."""

    name: str
    kind: MemberKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A `model.tar.gz` that somebody made; `flaw` says why it could not be read to its end."""

    where: str
    members: tuple[ArchiveMember, ...]
    flaw: str = ""


class Place(StrEnum):
    """Where a module of the project lies."""

    PLAIN_FOLDER = "plain folder"
    """Beside the handler, without the `__init__.py` of a package."""
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModule:
    """A Python file, or a folder with some, in the project's folder."""

    where: str
    place: Place = Place.ELSEWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint of the project, and the path of its table in `portside.toml`."""

    where: str
    settings: config.EndpointKind

    @property
    def instance_types(self) -> frozenset[str]:
        """Of all its variants; none of a serverless one."""
        match self.settings:
            case config.Realtime(variants=variants, instance_type=usual) if variants:
                return frozenset(variant.instance_type or usual for variant in variants)
            case config.InstanceSection(instance_type=usual):
                return frozenset({usual})
            case _:
                return frozenset()


_CODE: Final = "code"
"""A folder that goes along as a whole, as `artifact.handler` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """All that a check may ask of a project."""

    where: str
    """The folder."""
    name: str = ""
    """Of the folder, as somebody would import it from beside."""
    refusals: tuple[Refusal, ...] = ()
    """Of its configuration and its checkpoint."""
    endpoints: tuple[Endpoint, ...] = ()
    model_bytes: int = 0
    """Of the checkpoint's files that are served."""
    model_in_image: bool = False
    needs_export: bool = False
    pickles: tuple[str, ...] = ()
    """Pickled weights that are read because the user allowed it, or because code reads them."""
    handler: Source | None = None
    modules: tuple[Source, ...] = ()
    """What goes along with the handler."""
    module_names: frozenset[str] = frozenset()
    """What can be imported from what goes along."""
    local_modules: Mapping[str, LocalModule] = field(default_factory=dict)
    """What could be imported where the project's own folders are searched, by first names."""
    scripts: tuple[Source, ...] = ()
    """The Python files of the project's folder, which a Dockerfile may start."""
    requirements: Text | None = None
    requirements_are_used: bool = True
    """Whether the configuration names them."""
    dockerfile: Text | None = None
    has_dockerignore: bool = False
    archives: tuple[Archive, ...] = ()
    code_files: Mapping[str, Path] = field(default_factory=dict)
    """What goes into the image or the artifact beside the model, by `where`."""
    root_files: tuple[str, ...] = ()
    """Names of the files in the project's folder."""
    requests: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the request files, by `where`."""

    @property
    def code(self) -> tuple[Source, ...]:
        """The handler and its modules, as far as they are Python."""
        found = (self.handler, *self.modules) if self.handler else self.modules
        return tuple(source for source in found if source.tree is not None)

    @property
    def has_app(self) -> bool:
        """Whether an app of the user's answers, and not the handler's functions."""
        return any(contract.ENV_APP in each.settings.environment for each in self.endpoints)

    def is_by_folder(self, module: str) -> bool:
        """Whether a full name is that of a module as part of the folder that it lies in."""
        folder, name, *_ = [*module.split("."), ""]
        is_there = name in self.module_names or name in self.local_modules
        return folder in {_CODE, self.name} - self.module_names and is_there


def parse(where: str, text: str) -> Source:
    """A Python file, parsed and never run."""
    try:
        return Source(where=where, text=text, tree=ast.parse(text))
    except SyntaxError as error:
        return Source(where=where, text=text, tree=None, flaw=error.msg, line=error.lineno or 1)
    except (ValueError, RecursionError, MemoryError) as error:
        return Source(where=where, text=text, tree=None, flaw=str(error) or type(error).__name__)
