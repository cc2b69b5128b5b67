"""What a registry that was killed or left alone has too much of, removed when it starts.

A blob without a row was being kept when the end came, an upload without one was being discarded.
Uploads that nobody went on with for a day are given up, and so are layers that no image came for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portside.local.ecr.blob_store import BlobStore
    from portside.local.ecr.catalog.catalog import Catalog

KEPT_MS: Final = 24 * 3600 * 1000
"""Ours; ECR does not tell its own."""


def sweep(catalog: Catalog, blobs: BlobStore, *, now_ms: int) -> None:
    """Make files and rows agree; raises OSError and `StateFileError`."""
    sizes = blobs.uploads()
    begun = catalog.uploads.progress()
    for upload, (size, changed_ms) in begun.items():
        if sizes.get(upload, 0) < size or changed_ms < now_ms - KEPT_MS:
            catalog.uploads.remove(upload)
            blobs.discard(upload)
    for upload in sizes.keys() - begun.keys():
        blobs.discard(upload)
    catalog.layers.remove_idle(before_ms=now_ms - KEPT_MS)
    for digest in blobs.digests() - catalog.layers.digests():
        blobs.remove(digest)
