"""Images of the local ECR that endpoints run, and the folders that they are unpacked into.

    reference ─▶ image store ─▶ layers ─▶ images/.HEX.*.partial/ ─▶ images/HEX/
                                                                     ├── config.json   its config
                                                                     └── root/         its tree

A folder is renamed as the last act, so what stands under a digest is whole. Instances of one image
share the tree and cannot change it. It stays for as long as an endpoint or an instance needs it,
also where the image is deleted from the local ECR meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from portside.archive.partial import partial_beside
from portside.contract import MODEL_DIR
from portside.errors import BuildError
from portside.image.oci import Config, Manifest, decode, encode
from portside.image.reference import Reference, parse
from portside.local.instance.image import root_entry
from portside.local.instance.image.tree import LayerFile, apply_layers, make_file, make_folder
from portside.local.instance.removal import remove
from portside.local.instance.runtime_image import ImageMissingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.image.oci import Descriptor

_CONFIG: Final = "config.json"
_ROOT: Final = "root"


class StoredImage(Protocol):
    """An image of one platform, as the local ECR keeps it."""

    @property
    def digest(self) -> str:
        """Its manifest's."""
        ...

    @property
    def manifest(self) -> Manifest:
        """Which layers it has."""
        ...

    @property
    def config(self) -> Config:
        """What it is for, and how it runs."""
        ...

    def path(self, blob: Descriptor, /) -> Path:
        """The file of one of its blobs."""
        ...


class ImageStore(Protocol):
    """The local ECR, as far as instances need it."""

    def find(self, reference: Reference, /) -> StoredImage:
        """The image that a name means now; raises `ImageMissingError`."""
        ...


class NoImages:
    """An ECR that nothing was pushed to."""

    def find(self, reference: Reference, /) -> StoredImage:
        """Never one."""
        raise ImageMissingError(str(reference))


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedImage:
    """An image that was pushed here. `stored` is None once it is deleted from the local ECR."""

    reference: Reference
    digest: str
    config: Config
    stored: StoredImage | None


class PushedImages:
    """Finds what was pushed; keeps the trees of what runs. `folder` holds one folder for each."""

    def __init__(self, folder: Path, *, store: ImageStore) -> None:
        self._folder = folder
        self._store = store
        self._lock = asyncio.Lock()
        self._held: dict[object, str] = {}

    def find(self, image: str) -> PushedImage | None:
        """The image of a name; None where nobody pushed one, or neither it nor its tree is left."""
        try:
            reference = parse(image)
        except BuildError:
            return None
        try:
            stored = self._store.find(reference)
        except ImageMissingError:
            config = self._unpacked_config(reference.digest)
            if config is None or reference.digest is None:
                return None
            return PushedImage(
                reference=reference, digest=reference.digest, config=config, stored=None
            )
        return PushedImage(
            reference=reference, digest=stored.digest, config=stored.config, stored=stored
        )

    async def root(self, image: PushedImage) -> Path:
        """The image's tree, unpacked now if it is not there; raises `BuildError`."""
        folder = self._path(image.digest)
        if folder.is_dir():  # whoever waits for another image must not keep this one waiting
            return folder / _ROOT
        async with self._lock:
            if not folder.is_dir():
                if image.stored is None:
                    raise BuildError(f"`{image.reference}` was deleted from the local ECR")
                try:
                    await asyncio.to_thread(_unpack, image.stored, folder)
                except (OSError, ValueError) as error:  # also of a config that makes no sense
                    raise BuildError(f"could not unpack `{image.reference}`: {error}") from error
        return folder / _ROOT

    def hold(self, image: PushedImage) -> Callable[[], None]:
        """Until what is returned is called, `prune` leaves the image's tree alone."""
        token = object()
        self._held[token] = image.digest
        return partial(self._release, token)

    def _release(self, token: object) -> None:
        self._held.pop(token, None)  # twice is once: a start that fails may have begun an end

    async def prune(self, *, in_use: Callable[[], set[str]]) -> None:
        """Remove the trees of images that neither an endpoint (`in_use`) nor we need."""
        async with self._lock:
            for folder in list(self._folder.glob("[0-9a-f]*")):
                # Asked for each anew: an instance may have come while another one was removed.
                needed = {self._path(digest) for digest in in_use() | set(self._held.values())}
                if folder not in needed:
                    unseen = folder.with_name(f".removed-{folder.name}")
                    folder.rename(unseen)
                    await asyncio.to_thread(remove, unseen)

    def clear_partial(self) -> None:
        """Remove what an earlier life left half done."""
        for path in self._folder.glob(".*"):
            remove(path)

    def _unpacked_config(self, digest: str | None) -> Config | None:
        if digest is None:
            return None
        try:
            data = (self._path(digest) / _CONFIG).read_bytes()
        except OSError:
            return None
        return decode(data, Config, what=f"the config of `{digest}`")

    def _path(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")


def _unpack(stored: StoredImage, folder: Path) -> None:
    layers = [
        LayerFile(path=stored.path(blob), diff_id=diff_id)
        for blob, diff_id in zip(stored.manifest.layers, stored.config.rootfs.diff_ids, strict=True)
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)

    def make(path: Path) -> None:
        (path / _ROOT).mkdir(parents=True)

    with partial_beside(folder, make) as partial:
        root = partial / _ROOT
        apply_layers(layers, root)
        _make_places(root, stored.config)
        (partial / _CONFIG).write_bytes(encode(stored.config))
        partial.replace(folder)


def _make_places(root: Path, config: Config) -> None:
    """What engines make where an image has none: mount points, and the folder to start in."""
    execution = config.config
    working_dir = execution.working_dir if execution else ""
    for name in (*root_entry.FOLDERS, MODEL_DIR, working_dir):
        make_folder(root, name)
    for name in root_entry.FILES:
        make_file(root, name)
