"""The registry's files: blobs by their digest, shared by all repositories, and uploads by their id.

    images/
      index.sqlite3          what of it belongs to whom (`catalog`)
      blobs/sha256/<hex>     whole, or not there
      uploads/<id>           as many bytes as were acknowledged, and perhaps some that were not

An upload is cut to what was acknowledged before more is appended, so that a request that broke
off in the middle, or a `kill -9`, leaves nothing behind that nobody vouches for.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WRITE_BYTES: Final = 1024 * 1024
"""Gathered before a thread is asked to write: bodies come in pieces of 64 KB."""
READ_BYTES: Final = 1024 * 1024


class BlobStore:
    """A folder of blobs and uploads; what waits for the disk does so in threads."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs" / "sha256"
        self._uploads = folder / "uploads"
        self._hashes: dict[str, _RunningHash] = {}
        for made in (self._blobs, self._uploads):
            made.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the blob lies; the digest has been checked to be one."""
        return self._blobs / digest.removeprefix("sha256:")

    async def append(self, upload: str, pieces: AsyncIterator[bytes], *, size: int) -> int:
        """Write after the first `size` bytes; returns how many there are then. Raises OSError.

        Whatever goes wrong in the middle, the file has its `size` bytes again.
        """
        path = self._uploads / upload
        running = self._hashes.pop(upload, None)
        if running is None or running.size != size:
            running = await asyncio.to_thread(_hash_file, path, size=size)
        file = await asyncio.to_thread(_open_at, path, size=size)
        try:
            async for chunk in _gathered(pieces):
                await asyncio.to_thread(running.take, chunk, into=file)
        except BaseException:
            file.truncate(size)
            raise
        finally:
            file.close()
        self._hashes[upload] = running
        return running.size

    async def digest(self, upload: str, *, size: int) -> str:
        """`sha256:` and the digest of an upload's first `size` bytes; raises OSError."""
        running = self._hashes.get(upload)
        if running is None or running.size != size:  # it began in an earlier life
            running = await asyncio.to_thread(_hash_file, self._uploads / upload, size=size)
        return f"sha256:{running.sha256.hexdigest()}"

    def keep(self, upload: str, digest: str, *, size: int) -> None:
        """Make an upload the blob of this digest, too; raises OSError.

        The upload stays until it is discarded: whatever happens before the blob is noted, what
        was acknowledged is there.
        """
        os.truncate(self._uploads / upload, size)
        self.remove(digest)  # what a failed try left
        os.link(self._uploads / upload, self.path(digest))

    def discard(self, upload: str) -> None:
        """Remove an upload."""
        self._hashes.pop(upload, None)
        (self._uploads / upload).unlink(missing_ok=True)

    def remove(self, digest: str) -> None:
        """Remove a blob; who reads it at the time reads on."""
        self.path(digest).unlink(missing_ok=True)

    def digests(self) -> set[str]:
        """Of all blobs there are."""
        return {f"sha256:{path.name}" for path in self._blobs.iterdir()}

    def uploads(self) -> dict[str, int]:
        """The sizes of all uploads, by id."""
        return {path.name: path.stat().st_size for path in self._uploads.iterdir()}


class _RunningHash:
    """The digest of what was written so far, so that no layer is read again at its end."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0

    def take(self, chunk: bytes, *, into: io.FileIO) -> None:
        left = memoryview(chunk)
        while left:  # of a chunk that a full disk takes the half of, the other half raises
            left = left[into.write(left) :]
        self.note(chunk)

    def note(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.size += len(chunk)


def _open_at(path: Path, *, size: int) -> io.FileIO:
    # Unbuffered: a full disk has to show before the part is acknowledged.
    file = io.FileIO(path, "r+" if size else "w")
    file.truncate(size)
    file.seek(size)
    return file


def _hash_file(path: Path, *, size: int) -> _RunningHash:
    running = _RunningHash()
    if size:
        with path.open("rb") as file:
            while running.size < size and (
                chunk := file.read(min(READ_BYTES, size - running.size))
            ):
                running.note(chunk)
    return running


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held, size = [], 0
    async for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= WRITE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
