"""Blobs on disk, each under its digest; and what they were made from.

    blobs/sha256/<hex>     layers, configs, manifests: whole, or not there
    selectors/<hex>.json   the digest of what something was made from ─▶ what it became

Two builds at once write the same bytes to the same names. Whoever writes does so beside the
final name (`archive.partial`), so a killed run harms nobody, and the next removes what it left.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from portside.archive.disk import writing
from portside.archive.partial import make_file, partial_beside, remove_leftover, write_whole
from portside.errors import BuildError
from portside.image.oci import Descriptor, digest_of, encode

KEPT_S: Final = 14 * 24 * 3600
"""What no build used for two weeks is removed."""

_Value = TypeVar("_Value")


class Layout:
    """A folder of blobs, and of selectors beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder = folder.absolute()
        self.blobs = folder / "blobs" / "sha256"
        self._selectors = folder / "selectors"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self._selectors.mkdir(exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the blob lies, be it there yet or not."""
        return self.blobs / digest.removeprefix("sha256:")

    def has(self, blob: Descriptor) -> bool:
        """Whether the blob is there, and not cut short by somebody else; it counts as used then."""
        path = self.path(blob.digest)
        try:
            is_whole = path.stat().st_size == blob.size
        except FileNotFoundError:
            return False
        if is_whole:
            with suppress(OSError):  # another build's `prune`, or another user's file
                os.utime(path)
        return is_whole

    def write(self, data: bytes, *, media_type: str) -> Descriptor:
        """Keep a small blob."""
        blob = Descriptor(media_type=media_type, size=len(data), digest=digest_of(data))
        if not self.has(blob):
            write_whole(self.path(blob.digest), data)
        return blob

    def receive(self, blob: Descriptor, chunks: Iterable[bytes], *, source: str) -> Path:
        """Keep what comes from elsewhere; raises `BuildError` where it is not what was announced.

        Not a byte more than the announced size is written.
        """
        final = self.path(blob.digest)
        sha256, left = hashlib.sha256(), blob.size
        with writing(final), partial_beside(final, make_file) as partial:
            with partial.open("wb") as file:
                for chunk in chunks:
                    left -= len(chunk)
                    if left < 0:
                        break
                    sha256.update(chunk)
                    file.write(chunk)
            if left or f"sha256:{sha256.hexdigest()}" != blob.digest:
                told = "is longer" if left < 0 else "is shorter" if left else "has another digest"
                raise BuildError(
                    f"could not take `{blob.digest}` from `{source}`: it {told} than was announced",
                    hint="run the same command again; if it stays so, the registry or a proxy "
                    "before it is broken",
                )
            partial.replace(final)
        return final

    def recall(self, key: str, kind: type[_Value]) -> _Value | None:
        """What was made from these inputs before; it counts as used."""
        file = self._selectors / f"{key}.json"
        try:
            value = msgspec.json.decode(file.read_bytes(), type=kind)
        except (FileNotFoundError, msgspec.DecodeError):  # an older Portside wrote others
            return None
        with suppress(FileNotFoundError):  # another build's `prune`
            os.utime(file)
        return value

    def remember(self, key: str, value: object) -> None:
        """Note what was made from these inputs."""
        write_whole(self._selectors / f"{key}.json", encode(value))

    def prune(self, *, now: float) -> None:
        """Remove what no build used lately, and what killed ones left; `now` since the epoch."""
        limit = now - KEPT_S
        named = set[str]()
        for file in self._selectors.glob("*.json"):
            if file.stat().st_mtime < limit:
                file.unlink(missing_ok=True)
            else:
                named.add(file.read_text(encoding="utf-8"))
        for partial in (*self.folder.glob(".*.partial"), *self.blobs.glob(".*.partial")):
            remove_leftover(partial)
        for path in self.blobs.glob("[0-9a-f]*"):
            if path.stat().st_mtime < limit and not any(path.name in text for text in named):
                path.unlink(missing_ok=True)


def key_of(kind: str, inputs: object) -> str:
    """The digest of all that something is made from; the first word tells what it is."""
    return f"{kind}-{hashlib.sha256(encode(inputs)).hexdigest()[:32]}"
