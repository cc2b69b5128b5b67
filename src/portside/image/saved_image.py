"""An image as `docker save` and `podman save` write it, read without unpacking.

    manifest.json ─▶ config      as it is
                  └─▶ layer …    a tar, or a gzipped one where docker keeps images in containerd

Source: moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

import msgspec

from portside.errors import BuildError
from portside.image.gunzip import NOT_A_TAR, gunzip
from portside.image.oci import LAYERS, MANIFEST_BYTES, Config, decode

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
"""RFC 8878, 3.1.1."""


class _Listed(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    config: str
    layers: tuple[str, ...]


class SavedImage:
    """The one image of an archive."""

    def __init__(self, tar: tarfile.TarFile, *, name: str) -> None:
        self._tar = tar
        self._name = name
        listed = decode(self._small("manifest.json"), tuple[_Listed, ...], what=f"`{name}`")
        if len(listed) != 1 or len(listed[0].layers) > LAYERS:
            raise BuildError(f"`{name}` does not hold one image of at most {LAYERS} layers")
        self._layers = listed[0].layers
        self.config_bytes = self._small(listed[0].config)
        self.config = decode(self.config_bytes, Config, what=f"the config of `{name}`")
        if len(self.config.rootfs.diff_ids) != len(self._layers):
            raise BuildError(f"manifest and config of `{name}` disagree about the number of layers")

    @classmethod
    @contextmanager
    def open(cls, file: Path, *, name: str) -> Iterator[Self]:
        """The image in a file; raises `BuildError` where it is none, then and while it is read."""
        try:
            with tarfile.open(file, "r:") as tar:
                yield cls(tar, name=name)
        except NOT_A_TAR as error:
            raise BuildError(f"the engine wrote no whole image of `{name}`: {error}") from error

    def layers(self) -> Iterator[tuple[str, BinaryIO]]:
        """Each layer's digest as a tar, and the tar, from the lowest up."""
        for diff_id, member in zip(self.config.rootfs.diff_ids, self._layers, strict=True):
            with self._open(member) as content:
                head = content.read(len(_ZSTD))
                content.seek(0)
                if head == _ZSTD:
                    raise BuildError(
                        f"a layer of `{self._name}` is packed with zstd, and SageMaker takes gzip "
                        "alone",
                        hint="choose a base whose layers are gzip, or turn off docker's "
                        "`containerd-snapshotter`, which keeps layers as they came",
                    )
                if head.startswith(_GZIP):
                    yield diff_id, gunzip(content)
                else:
                    yield diff_id, content

    def _small(self, member: str) -> bytes:
        with self._open(member) as content:
            return content.read(MANIFEST_BYTES)

    def _open(self, member: str) -> BinaryIO:
        """A member that is a file; a layer that is there twice is a link the second time."""
        try:
            content = self._tar.extractfile(member)
        except KeyError as error:
            raise BuildError(f"the engine's image of `{self._name}` lacks `{member}`") from error
        if content is None:
            raise BuildError(f"`{member}` in the image of `{self._name}` is not a file")
        return cast("BinaryIO", content)
