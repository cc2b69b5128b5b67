"""Checks of a `model.tar.gz` that somebody made by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from portside import contract
from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.project.fact import Archive, ArchiveMember, MemberKind, Project

_JUNK: Final = re.compile(r"(^|/)(\._[^/]*|\.DS_Store|__MACOSX(/|$)|Thumbs\.db$|desktop\.ini$)")


def _top_folder(project: Project) -> Iterator[Spot]:
    for archive in project.archives:
        tops = {_parts(member.name)[0] for member in _content(archive)}
        names = {member.name for member in _content(archive)}
        only = next(iter(tops)) if len(tops) == 1 else ""
        if only and only not in {*names, contract.CODE_DIR_NAME} and not only.isdecimal():
            yield Spot(
                where=f"{archive.where}: {only}/",
                what=f"everything lies in the folder `{only}`, and is looked for at the top",
                mend=f"pack it from inside: `tar czf model.tar.gz -C {only} .`",
            )


def _junk(project: Project) -> Iterator[Spot]:
    for archive in project.archives:
        found = [member.name for member in archive.members if _JUNK.search(member.name)]
        if found:
            yield Spot(
                where=f"{archive.where}: {found[0]}",
                what=f"{len(found)} files of a Mac or of Windows are in it, which some loaders "
                "take for weights",
                mend="pack it with `COPYFILE_DISABLE=1 tar --exclude .DS_Store …`, or with "
                "`portside package`",
            )


def _links(project: Project) -> Iterator[Spot]:
    for archive in project.archives:
        for member in archive.members:
            if member.kind in {MemberKind.LINK, MemberKind.OTHER}:
                yield Spot(
                    where=f"{archive.where}: {member.name}",
                    what="it is a link or a device, which SageMaker refuses in an artifact",
                    mend="pack what it leads to: `tar --dereference -czf …`, or `portside package`",
                )
                break


def _code_place(project: Project) -> Iterator[Spot]:
    for archive in project.archives:
        names = {str(PurePosixPath(member.name)) for member in _content(archive)}
        program, place = contract.DEFAULT_PROGRAM, contract.CODE_DIR_NAME
        found = next((n for n in sorted(names) if PurePosixPath(n).name == program), None)
        if found is not None and f"{place}/{program}" not in names:
            yield Spot(
                where=f"{archive.where}: {found}",
                what=f"AWS's containers look for `{program}` in the folder `{place}` alone",
                mend=f"move it: `mkdir {place} && mv {found} {place}/`, and pack again",
            )


def _broken(project: Project) -> Iterator[Spot]:
    for archive in project.archives:
        if archive.flaw:
            yield Spot(
                where=archive.where,
                what=f"it cannot be unpacked as a gzipped tar: {archive.flaw}",
                mend="make it anew: `portside package`",
            )


def _content(archive: Archive) -> list[ArchiveMember]:
    """The files, without what a Mac leaves at the top."""
    return [
        member
        for member in archive.members
        if member.kind is MemberKind.FILE and not _JUNK.search(member.name)
    ]


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name).parts or ("",)


CHECKS: Final[tuple[Check[Project], ...]] = (
    Check(
        name="archive-folder",
        severity=Severity.ERROR,
        tells="a `model.tar.gz` has one more folder around everything",
        source="aws/sagemaker-huggingface-inference-toolkit#51",
        look=_top_folder,
    ),
    Check(
        name="archive-junk",
        severity=Severity.WARNING,
        tells="a `model.tar.gz` has files of a Mac or of Windows in it",
        source="DG deploy-model-troubleshoot",
        look=_junk,
    ),
    Check(
        name="archive-link",
        severity=Severity.ERROR,
        tells="a `model.tar.gz` has links in it",
        source="DG deploy-model-troubleshoot",
        look=_links,
    ),
    Check(
        name="archive-code",
        severity=Severity.WARNING,
        tells="the code of a `model.tar.gz` is not under `code/`",
        source="aws/sagemaker-python-sdk#4007",
        look=_code_place,
    ),
    Check(
        name="archive-broken",
        severity=Severity.ERROR,
        tells="a `model.tar.gz` is no gzipped tar, or ends too early",
        source="DG deploy-model-troubleshoot",
        look=_broken,
    ),
)
