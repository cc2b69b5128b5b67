"""A layer: files, folders and links ─▶ a gzipped tar whose bytes depend on these alone.

Sorted by name, owner root, times 0, modes 0644 and 0755 (everybody may read: serverless runs
images as a user of its own), gzip without a clock (`archive.compression`). Every folder has an
entry of its own, because what unpacks layers may make missing ones unreadable for all but root
(moby's `UnpackLayer` makes them with mode 0600).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

import msgspec

from portside.archive import Member
from portside.archive.compression import GzipWriter, Output
from portside.archive.disk import writing
from portside.archive.member import checked_name
from portside.archive.partial import make_file, partial_beside
from portside.archive.writer import END, HashingWriter, write_member
from portside.errors import BuildError
from portside.image.layout import Layout
from portside.image.oci import Descriptor, MediaType

FORMAT: Final = 1
"""Part of every selector: counted up when the same inputs are to give other bytes."""


class LayerKind(StrEnum):
    """What a layer holds, from what changes least to what changes most."""

    BASE = "base"
    DEPENDENCIES = "dependencies"
    RUNTIME = "runtime"
    MODEL = "model"
    CODE = "code"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a layer that has a name and a size of its own: a distribution, a file."""

    name: str
    size_bytes: int
    version: str = ""
    license: str = ""


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that is made: its blob, the digest of the tar within, and what it holds."""

    kind: LayerKind
    blob: Descriptor
    diff_id: str
    size_bytes: int
    """Unpacked; 0 where nobody has looked."""
    parts: tuple[Part, ...] = ()
    libraries: tuple[str, ...] = ()
    """Of the base's, what files in the layer cannot be loaded without."""
    warnings: tuple[str, ...] = ()
    """What the user should know, each time that the layer is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A symbolic link: its name in the image, and the path that it leads to."""

    name: str
    target: str


Entry = Member | Link


def pack_layer(
    entries: Iterable[Entry],
    *,
    kind: LayerKind,
    layout: Layout,
    parts: tuple[Part, ...] = (),
    libraries: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Layer:
    """Make a layer's blob in the layout; what is known about it rides along."""
    ordered = _ordered(entries)
    final = layout.blobs / kind  # until the digest is known
    with writing(final), partial_beside(final, make_file) as partial:
        with partial.open("wb") as file:
            packed = HashingWriter(file)
            with GzipWriter(packed) as gzip:
                tar = HashingWriter(gzip)
                for name, entry in ordered:
                    _write(tar, name, entry)
                tar.write(END)
                gzip.finish()
        blob = Descriptor(
            media_type=MediaType.DOCKER_LAYER,
            size=packed.size_bytes,
            digest=f"sha256:{packed.sha256.hexdigest()}",
        )
        partial.chmod(0o644)
        partial.replace(layout.path(blob.digest))
    return Layer(
        kind=kind,
        blob=blob,
        diff_id=f"sha256:{tar.sha256.hexdigest()}",
        size_bytes=tar.size_bytes,
        parts=parts,
        libraries=libraries,
        warnings=warnings,
    )


def _ordered(entries: Iterable[Entry]) -> list[tuple[str, Entry | None]]:
    """By name, with None for a folder; a folder's name is the beginning of what is in it."""
    found: dict[str, Entry | None] = {}
    for entry in entries:
        name = checked_name(entry.name)
        if name in found:
            raise BuildError(f"two files would become `/{name}` in the image")
        found[name] = entry
    for name in list(found):
        for parent in PurePosixPath(name).parents[:-1]:
            if found.setdefault(str(parent)) is not None:
                raise BuildError(f"`/{parent}` would be a file and a folder in the image")
    return sorted(found.items(), key=lambda item: item[0])


def _write(tar: Output, name: str, entry: Entry | None) -> None:
    match entry:
        case Member():
            write_member(tar, Member(name=name, source=entry.source), lambda _: None)
        case Link():
            header = tarfile.TarInfo(name)
            header.type, header.linkname, header.mode = tarfile.SYMTYPE, entry.target, 0o777
            tar.write(header.tobuf(tarfile.PAX_FORMAT, encoding="utf-8"))
        case None:
            header = tarfile.TarInfo(f"{name}/")
            header.type, header.mode = tarfile.DIRTYPE, 0o755
            tar.write(header.tobuf(tarfile.PAX_FORMAT, encoding="utf-8"))
