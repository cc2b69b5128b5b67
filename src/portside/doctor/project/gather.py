"""Read a project's folder into facts; what cannot be read is a fact, too."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from portside import config
from portside.archive import Member
from portside.artifact.folder.checkpoint import Checkpoint, read_checkpoint
from portside.artifact.folder.weights import Kind, read_weights
from portside.artifact.handler import CODE, handler_members
from portside.doctor.project.beginning import last_checkpoint, nothing_to_deploy
from portside.doctor.project.fact import (
    Archive,
    ArchiveMember,
    Endpoint,
    MemberKind,
    Project,
    Refusal,
    Source,
    Text,
    parse,
)
from portside.doctor.project.file import python_files, shown, text
from portside.doctor.project.search import local_modules
from portside.errors import BuildError, ConfigError, PortsideError

_MOST_MEMBERS: Final = 10_000
"""Of an archive; a model has some dozens, and hostile ones may have any number."""


def gather(folder: Path) -> Project:
    """The facts of the project in `folder`, named as the user names it."""
    facts = Project(where=str(folder))
    try:
        project = config.load(folder)
    except PortsideError as error:
        return replace(facts, refusals=(_of_config(folder, error),), archives=_archives([folder]))
    facts = _with_model(gather_code(project, folder), project, folder)
    return _with_files(facts, project, folder)


def gather_code(project: config.Project, folder: Path) -> Project:
    """The facts of a project's code and of what it wants; milliseconds, whatever the model is."""
    facts = Project(where=str(folder), name=project.root.name, endpoints=_endpoints(project))
    return _with_requirements(_with_code(facts, project, folder), project, folder)


def _of_config(folder: Path, error: PortsideError) -> Refusal:
    where = str(folder / config.FILE_NAME) if folder.is_dir() else str(folder)
    message = error.message
    if isinstance(error, ConfigError) and error.path:
        where, message = f"{where}: {error.path}", message.removeprefix(f"`{error.path}`: ")
    return Refusal(where=where, what=message, mend=error.hint or "mend the file")


def _endpoints(project: config.Project) -> tuple[Endpoint, ...]:
    """With the path of each one's table: a project's own name is that of `[endpoint]`."""
    return tuple(
        Endpoint(
            where="endpoint"
            if endpoint.name == project.name
            else f"endpoints.{endpoint.name.removeprefix(f'{project.name}-')}",
            settings=endpoint.settings,
        )
        for endpoint in project.endpoints
    )


# --- Code -----------------------------------------------------------------------


def _with_code(facts: Project, project: config.Project, folder: Path) -> Project:
    handler = project.handler
    if handler is None:
        return facts
    found = replace(facts, handler=_source(handler, project.root, folder))
    if found.handler is not None and found.handler.tree is None:
        return found
    found = replace(
        found,
        local_modules=local_modules(handler, root=project.root, folder=folder, model=project.model),
    )
    try:
        members = handler_members(handler)
    except BuildError as error:
        if isinstance(error.__cause__, SyntaxError) and error.__cause__.filename:
            # Nobody knows what goes along, so nothing is said to be left behind.
            broken = _source(Path(error.__cause__.filename), project.root, folder)
            names = frozenset(found.local_modules)
            return replace(found, modules=(broken,), module_names=names)
        refusal = Refusal(
            where=shown(handler, project.root, folder),
            what=error.message,
            mend=error.hint or "mend the file",
        )
        return replace(found, refusals=(*found.refusals, refusal))
    others = [member.source for member in members if member.source != handler.resolve()]
    others = [path for path in others if path != handler]
    return replace(
        found,
        modules=tuple(
            _source(path, project.root, folder) for path in others if path.suffix == ".py"
        ),
        module_names=frozenset(_names_in(members)),
        code_files={shown(path, project.root, folder): path for path in others},
    )


def _names_in(members: tuple[Member, ...]) -> Iterator[str]:
    """What can be imported of an artifact's members: `code/` is where Python searches."""
    for member in members:
        first = PurePosixPath(member.name).relative_to(CODE).parts[0]
        yield first.removesuffix(".py")


def _source(path: Path, root: Path, folder: Path) -> Source:
    return parse(shown(path, root, folder), text(path))


# --- The model --------------------------------------------------------------------


def _with_model(facts: Project, project: config.Project, folder: Path) -> Project:
    if project.model is None:
        if project.handler is None:
            return replace(
                facts, refusals=(*facts.refusals, nothing_to_deploy(project.root, folder))
            )
        return facts
    try:
        checkpoint = read_checkpoint(
            project.model,
            has_handler=project.handler is not None,
            allow_pickle=project.allow_pickle,
        )
    except BuildError as error:
        refusal = Refusal(
            where=shown(project.model, project.root, folder),
            what=error.message,
            mend=last_checkpoint(project.model, project.root)
            or error.hint
            or "mend the checkpoint",
        )
        return replace(facts, refusals=(*facts.refusals, refusal))
    return replace(
        facts,
        model_bytes=sum(file.size_bytes for file in checkpoint.files),
        model_in_image=project.model_in_image,
        needs_export=checkpoint.needs_export,
        pickles=tuple(_pickles(checkpoint, project.root, folder)),
    )


def _pickles(checkpoint: Checkpoint, root: Path, folder: Path) -> Iterator[str]:
    for model in read_weights(checkpoint.files).models:
        if model.kind is Kind.PICKLE:
            yield shown(checkpoint.folder / model.main.path, root, folder)


# --- Files ------------------------------------------------------------------------


def _with_requirements(facts: Project, project: config.Project, folder: Path) -> Project:
    root, requirements = project.root, project.requirements
    if requirements is None and project.handler is not None:
        requirements = _first(root / "requirements.txt", root / "code" / "requirements.txt")
    if requirements is None or requirements.suffix != ".txt":
        return facts
    return replace(
        facts,
        requirements=_lines(requirements, root, folder),
        requirements_are_used=project.requirements is not None,
    )


def _with_files(facts: Project, project: config.Project, folder: Path) -> Project:
    root = project.root
    dockerfile = project.dockerfile or _first(root / "Dockerfile")
    model = [project.model] if project.model is not None and project.model != root else []
    return replace(
        facts,
        dockerfile=_lines(dockerfile, root, folder) if dockerfile else None,
        has_dockerignore=(root / ".dockerignore").is_file(),
        scripts=_scripts(root, folder),
        root_files=tuple(sorted(path.name for path in root.iterdir() if path.is_file())),
        archives=_archives([folder, *(Path(shown(path, root, folder)) for path in model)]),
        requests={
            shown(path, root, folder): path.stat().st_size
            for path in sorted(root.glob("request*"))
            if path.is_file()
        },
    )


def _scripts(root: Path, folder: Path) -> tuple[Source, ...]:
    return tuple(_source(path, root, folder) for path in python_files(root))


def _lines(path: Path, root: Path, folder: Path) -> Text:
    return Text(where=shown(path, root, folder), lines=tuple(text(path).splitlines()))


def _first(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _archives(places: list[Path]) -> tuple[Archive, ...]:
    """Every `*.tar.gz` in folders, and those named themselves."""
    found = [path for place in places if place.is_dir() for path in sorted(place.glob("*.tar.gz"))]
    found += [place for place in places if place.is_file() and place.name.endswith(".tar.gz")]
    return tuple(_archive(path) for path in dict.fromkeys(found))


def _archive(path: Path) -> Archive:
    members: list[ArchiveMember] = []
    flaw = ""
    try:
        with tarfile.open(path, "r|gz") as tar:
            for member in islice(tar, _MOST_MEMBERS):
                # One by one, so that what comes before a flaw is known.
                members += [ArchiveMember(name=member.name, kind=_kind(member))]
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        flaw = str(error) or type(error).__name__
    return Archive(where=str(path), members=tuple(members), flaw=flaw)


def _kind(member: tarfile.TarInfo) -> MemberKind:
    if member.isreg():
        return MemberKind.FILE
    if member.isdir():
        return MemberKind.FOLDER
    return MemberKind.LINK if member.islnk() or member.issym() else MemberKind.OTHER
