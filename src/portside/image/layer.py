"""A layer: files, folders and links ─▶ a gzipped tar whose bytes depend on these alone.

Sorted by name, owner root, times 0, modes 0644 and 0755 (everybody may read: serverless runs
images as a user of its own), gzip without a clock (`archive.compression`). Every folder has an
entry of its own, because what unpacks layers may make missing ones unreadable for all but root
(moby's `UnpackLayer` makes them with mode 0600).
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO, Final

import msgspec

from portside.archive import Member
from portside.archive.compression import GzipWriter, Output
from portside.archive.disk import writing
from portside.archive.member import checked_name
from portside.archive.partial import make_file, partial_beside
from portside.archive.writer import END, HashingWriter, write_member
from portside.errors import BuildError
from portside.image.layout import Layout, key_of
from portside.image.oci import Descriptor, MediaType

FORMAT: Final = 1
"""Part of every selector: counted up when the same inputs are to give other bytes."""

_READ_BYTES: Final = 1024 * 1024


class LayerKind(StrEnum):
    """What a layer holds, from what changes least to what changes most."""

    BASE = "base"
    DEPENDENCIES = "dependencies"
    RUNTIME = "runtime"
    MODEL = "model"
    CODE = "code"
    DOCKERFILE = "dockerfile"
    """What an engine made of an instruction, or of its base."""


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


def gzip_tar(tar: BinaryIO, *, diff_id: str, layout: Layout) -> Descriptor:
    """A tar that somebody else wrote, gzipped as it is; each is done once.

    `diff_id` is its digest; raises `BuildError` for a tar with another one.
    """
    key = key_of("gzip", {"format": FORMAT, "tar": diff_id})
    known = layout.recall(key, Descriptor)
    if known is not None and layout.has(known):
        return known
    final = layout.blobs / "gzip"
    with writing(final), partial_beside(final, make_file) as partial:
        with partial.open("wb") as file:
            packed = HashingWriter(file)
            with GzipWriter(packed) as gzip:
                plain = HashingWriter(gzip)
                shutil.copyfileobj(tar, plain, _READ_BYTES)
                gzip.finish()
        if (found := f"sha256:{plain.sha256.hexdigest()}") != diff_id:
            raise BuildError(f"a layer is `{found}` and not `{diff_id}`, as its image says")
        blob = Descriptor(
            media_type=MediaType.DOCKER_LAYER,
            size=packed.size_bytes,
            digest=f"sha256:{packed.sha256.hexdigest()}",
        )
        partial.chmod(0o644)
        partial.replace(layout.path(blob.digest))
    layout.remember(key, blob)
    return blob


def _ordered(entries: Iterable[Entry]) -> list[tuple[str, Entry | None]]:
    """By name, with None for a folder; a folder's name is the beginning of what is in it."""
    found: dict[str, Entry | None] = {}
    for entry in entries:
        name = checked_name(entry.name)
        if name in found:
            raise BuildError(
                f"two files would become `/{name}` in the image", hint="rename one of them"
            )
        found[name] = entry
    for name in list(found):
        for parent in PurePosixPath(name).parents[:-1]:
            if found.setdefault(str(parent)) is not None:
                raise BuildError(
                    f"`/{parent}` would be a file and a folder in the image",
                    hint="rename one of them",
                )
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
