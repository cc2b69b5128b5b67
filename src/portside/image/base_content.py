"""What a base holds: its Python, the processor that is for, and the libraries that wheels count on.

Read from the layers themselves, once for each base: nothing of them is unpacked or run.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from portside.errors import BuildError
from portside.image.base_image import DEFAULT, Base
from portside.image.elf import HEADER_BYTES, machine_of
from portside.image.gunzip import NOT_A_TAR, gunzip
from portside.image.layer import FORMAT
from portside.image.layout import Layout, key_of
from portside.image.platform import Platform

OLDEST_MINOR: Final = 11
"""Of Python 3: what the serving runtime needs, `requires-python` in `pyproject.toml`."""

_FOLDERS: Final = ("opt/conda", "opt/python", "usr/local", "usr")
"""Where a Python may be; of several, one that was put beside the system's."""

_PYTHON: Final = re.compile(
    rf"(?:\./)?(?P<path>(?P<folder>{'|'.join(_FOLDERS)})/bin/python3\.(?P<minor>\d+))"
)
_MUSL: Final = re.compile(r"(\./)?(usr/)?lib/ld-musl-[^/]+\.so\.1")
_LIBRARY: Final = re.compile(
    r"(?:\./)?(?:usr/)?(?:local/)?lib(?:64)?/(?:.*/)?(?P<name>lib[^/]+\.so[.\d]*)"
)


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """The Python of a base: its version, `3.11`, and its path there."""

    version: str
    path: str


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a base."""

    python: Python
    libraries: tuple[str, ...]
    """The names of shared libraries, of whatever folder."""
    size_bytes: dict[str, int]
    """What each layer unpacks to, by its digest."""


def look_into(base: Base, platform: Platform, *, layout: Layout) -> Content:
    """What a base holds; looked for once in each. Raises `BuildError` where it has no Python."""
    inputs = {"format": FORMAT, "base": base.digest, "platform": platform}
    key = key_of("content", inputs)
    known = layout.recall(key, Content)
    if known is not None:
        return known
    pythons: list[tuple[int, int, str]] = []
    libraries, sizes = set[str](), dict[str, int]()
    for blob in reversed(base.layers):
        sizes[blob.digest] = 0
        for member, head in _members(base.fetch(blob), base.name):
            sizes[blob.digest] += member.size
            if match := _LIBRARY.fullmatch(member.name):
                libraries.add(match["name"])
            if head and (match := _PYTHON.fullmatch(member.name)):
                _check_machine(head, member.name, base.name, platform)
                place, minor = _FOLDERS.index(match["folder"]), int(match["minor"])
                if minor >= OLDEST_MINOR:
                    pythons.append((place, -minor, match["path"]))
    if not pythons:
        raise BuildError(
            f"the base `{base.name}` has no Python 3.{OLDEST_MINOR} or later in `/usr/bin` or "
            "`/usr/local/bin`",
            hint=f"choose one that has, as `--base {DEFAULT}`",
        )
    _, negative, path = min(pythons)
    content = Content(
        python=Python(version=f"3.{-negative}", path=f"/{path}"),
        libraries=tuple(sorted(libraries)),
        size_bytes=sizes,
    )
    layout.remember(key, content)
    return content


def _members(blob: Path, name: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """The files of a layer, each with its first bytes if it may be a Python."""
    try:
        with (
            blob.open("rb") as packed,
            gunzip(packed) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            for member in tar:
                if _MUSL.fullmatch(member.name):
                    raise BuildError(
                        f"the base `{name}` is built on musl, and wheels are for glibc",
                        hint=f"choose one that is built on Debian, as `--base {DEFAULT}`",
                    )
                if member.isreg() or member.issym():
                    is_python = member.isreg() and _PYTHON.fullmatch(member.name)
                    file = tar.extractfile(member) if is_python else None
                    yield member, file.read(HEADER_BYTES) if file else b""
    except NOT_A_TAR as error:
        raise BuildError(f"a layer of the base `{name}` is not a gzipped tar: {error}") from error


def _check_machine(head: bytes, member: str, name: str, platform: Platform) -> None:
    machine = machine_of(head)
    if machine not in {None, platform.elf_machine}:
        raise BuildError(
            f"the base `{name}` is not for {platform}: the ELF machine of `{member}` is {machine}",
            hint="add the `--platform` that it is for, or choose another `--base`",
        )
