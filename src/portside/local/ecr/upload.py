"""A blob on its way in, by ECR's layer operations and by the distribution API alike.

    begin ─▶ add, add … (in order) ─▶ complete: is it what was announced? ─▶ a layer
                                    └▶ cancel

An answer to `add` is a promise: what was acknowledged is there after a `kill -9`, and the client
goes on from it.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from portside.local.ecr.catalog.layer_table import Layer
from portside.local.ecr.catalog.upload_table import Upload
from portside.local.refusal import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from portside.local.clock import Clock
    from portside.local.ecr.blob_store import BlobStore
    from portside.local.ecr.catalog.catalog import Catalog
    from portside.local.ecr.refusal import Words

MIN_PART_BYTES: Final = 5 * 1024 * 1024
"""Of every part but the last. BC LayerPartTooSmallException."""


class Uploads:
    """The uploads of all repositories; one request at a time adds to one."""

    def __init__(self, catalog: Catalog, blobs: BlobStore, *, words: Words, clock: Clock) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._words = words
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def begin(self, repository: str) -> Upload:
        """A new upload to a repository that is there."""
        upload = Upload(id=str(uuid.uuid4()), repository=repository)
        self._catalog.uploads.save(upload, now_ms=self._clock.now_ms())
        return upload

    def find(self, upload_id: str, *, repository: str) -> Upload:
        """An upload to this repository; raises `Fault`."""
        found = self._catalog.uploads.find(upload_id, repository=repository)
        if found is None:
            raise self._words.no_upload(upload_id, repository=repository)
        return found

    async def add(
        self,
        upload_id: str,
        pieces: AsyncIterator[bytes],
        *,
        repository: str,
        first_byte: int | None = None,
    ) -> Upload:
        """Append to an upload; raises `Fault`, also where it has not come to `first_byte` yet."""
        async with self._lock(upload_id):
            upload = self.find(upload_id, repository=repository)
            if first_byte not in {None, upload.size}:
                raise self._words.wrong_part(upload_id, repository=repository, size=upload.size)
            with _disk():
                size = await self._blobs.append(upload_id, pieces, size=upload.size)
            if self._catalog.uploads.find(upload_id, repository=repository) is None:
                self._blobs.discard(upload_id)  # the repository was deleted meanwhile
                raise self._words.no_upload(upload_id, repository=repository)
            added = replace(
                upload,
                size=size,
                last_part_size=size - upload.size,
                has_short_part=upload.has_short_part
                or (upload.size > 0 and upload.last_part_size < MIN_PART_BYTES),
            )
            self._catalog.uploads.save(added, now_ms=self._clock.now_ms())
        return added

    async def complete(
        self, upload_id: str, digests: list[str], *, repository: str, by_parts: bool
    ) -> Layer:
        """Make an upload a layer of its repository; raises `Fault`.

        `by_parts` says that ECR's rule for the size of parts holds.
        """
        async with self._lock(upload_id):
            upload = self.find(upload_id, repository=repository)
            if upload.size == 0:
                raise self._words.empty_upload(upload_id, repository=repository)
            if by_parts and upload.has_short_part:
                self.cancel(upload)
                raise self._words.short_part()
            with _disk():
                digest = await self._blobs.digest(upload_id, size=upload.size)
            self.find(upload_id, repository=repository)
            if digest not in digests:
                self.cancel(upload)
                raise self._words.wrong_layer(digest)
            if self._catalog.layers.find(repository, digest) is not None:
                self.cancel(upload)
                raise self._words.layer_exists(digest, repository=repository)
            layer = Layer(digest=digest, size=upload.size)
            self._keep(upload, layer)
        return layer

    def cancel(self, upload: Upload) -> None:
        """Forget an upload and what came of it."""
        self._catalog.uploads.remove(upload.id)
        self._blobs.discard(upload.id)

    def _keep(self, upload: Upload, layer: Layer) -> None:
        """Give the repository the layer.

        In one step of the event loop, so that no removal comes between blob and row.
        """
        now_ms = self._clock.now_ms()
        if not self._catalog.layers.is_needed(layer.digest):  # no other repository has brought it
            with _disk():
                self._blobs.keep(upload.id, layer.digest, size=layer.size)
        self._catalog.layers.add(upload.repository, layer, now_ms=now_ms, upload=upload.id)
        self._blobs.discard(upload.id)

    def _lock(self, upload_id: str) -> asyncio.Lock:
        return self._locks.setdefault(upload_id, asyncio.Lock())


@contextmanager
def _disk() -> Iterator[None]:
    """Around what writes and reads files; SDKs and docker try again."""
    try:
        yield
    except OSError as error:
        raise unavailable(
            f"The local SageMaker could not keep the layer: {error.strerror}."
            " Make room on the disk of the data folder."
        ) from error
