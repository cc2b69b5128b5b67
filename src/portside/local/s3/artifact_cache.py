"""Model artifacts, fetched from the object store and unpacked once for all instances.

    s3://bucket/key ─▶ models/.download-… ─▶ sha256 ─▶ models/<sha256>/

`archive.unpack` renames as its last act, so what stands under a digest is
whole. Endpoints with the same artifact share a folder, so its files are made
read-only; on SageMaker all of `/opt/ml/model` is (DG your-algorithms-inference-code).
The folders are not, because nobody could `rm -rf` them then.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import TYPE_CHECKING, Final, Protocol

from portside import archive
from portside.local.instance.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_EMPTY: Final = "empty"
"""The model folder of a Model without ModelDataUrl."""


class ObjectMissingError(Exception):
    """There is no such object, or no such bucket."""


class ObjectStoreUnavailableError(Exception):
    """The object store does not answer now; it may in a moment."""


class Objects(Protocol):
    """The object store, as far as artifacts need it."""

    async def exists(self, bucket: str, key: str) -> bool:
        """Whether there is such an object; raises `ObjectStoreUnavailableError`."""
        ...

    async def download(self, bucket: str, key: str, *, to: Path) -> None:
        """Write the object to a new file.

        Raises `ObjectMissingError` and `ObjectStoreUnavailableError`; the file may be there
        in part then.
        """
        ...


class ArtifactCache:
    """The folders of unpacked artifacts, by the digest of their archive."""

    def __init__(self, folder: Path, *, objects: Objects) -> None:
        self._folder = folder
        self._objects = objects
        self._lock = asyncio.Lock()

    def clear_partial(self) -> None:
        """Remove what an earlier life left half done."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob(".*"):
            remove(path)

    def empty(self) -> Path:
        """A folder with nothing in it."""
        folder = self._folder / _EMPTY
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def find(self, digest: str) -> Path | None:
        """The folder of an artifact that was fetched before."""
        folder = self._folder / digest
        return folder if folder.is_dir() else None

    async def fetch(self, url: str) -> str:
        """Download and unpack; the archive's sha256 in hex, for `find`.

        Raises `ObjectMissingError`, `ObjectStoreUnavailableError` and
        `archive.ArchiveError`. Nothing is awaited between the last look at the folder
        and the return, so a caller that writes the digest down at once is never
        overtaken by `prune`.
        """
        download = self._folder / f".download-{secrets.token_hex(8)}"
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            bucket, key = bucket_and_key(url)
            await self._objects.download(bucket, key, to=download)
            digest = await asyncio.to_thread(_sha256, download)
            async with self._lock:
                if self.find(digest) is None:
                    await asyncio.to_thread(_unpack, download, self._folder / digest)
                return digest
        finally:
            download.unlink(missing_ok=True)

    async def prune(self, *, in_use: Callable[[], set[str]]) -> None:
        """Remove the artifacts that no endpoint needs any more."""
        async with self._lock:
            keep = {_EMPTY, *in_use()}
            for folder in [path for path in self._folder.iterdir() if path.name[0] != "."]:
                if folder.name not in keep:
                    unseen = folder.with_name(f".removed-{folder.name}")
                    folder.rename(unseen)
                    await asyncio.to_thread(remove, unseen)


def bucket_and_key(url: str) -> tuple[str, str]:
    """The two parts of an `s3://` address, the second empty when it is missing."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(download: Path, folder: Path) -> None:
    archive.unpack(download, folder)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode & ~0o222)
