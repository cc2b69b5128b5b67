"""Images put, found and removed, for ECR's operations and for the distribution API alike."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from portside.local.ecr.catalog.image_table import Image
from portside.local.ecr.manifest import PushedManifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.local.clock import Clock
    from portside.local.ecr.blob_store import BlobStore
    from portside.local.ecr.catalog.catalog import Catalog
    from portside.local.ecr.catalog.repository_table import Repository
    from portside.local.ecr.refusal import Words


class Images:
    """The images of all repositories."""

    def __init__(self, catalog: Catalog, blobs: BlobStore, *, words: Words, clock: Clock) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._words = words
        self._clock = clock

    def put(
        self,
        repository: Repository,
        data: bytes,
        *,
        media_type: str | None,
        tag: str | None,
        digest: str | None,
    ) -> Image:
        """Keep a manifest, under a tag if one is named; raises `Fault`."""
        pushed = read_manifest(data, media_type=media_type)
        if digest not in {None, pushed.digest}:
            raise self._words.wrong_digest(str(digest), repository=repository.name)
        self._check_tag(repository, pushed, tag)
        self._check_parts(repository, pushed)
        image = Image(
            digest=pushed.digest,
            media_type=pushed.media_type,
            manifest=data,
            size=pushed.size,
            artifact_type=pushed.artifact_type,
            pushed_ms=self._clock.now_ms(),
        )
        parts = frozenset(pushed.layers + pushed.children)
        self._catalog.images.add(repository.name, image, parts=parts, tag=tag)
        return image

    def _check_tag(self, repository: Repository, pushed: PushedManifest, tag: str | None) -> None:
        name = repository.name
        if tag is None:
            if self._catalog.images.find(name, pushed.digest) is not None:
                raise self._words.image_exists(pushed.digest, tag, repository=name)
            return
        present = self._catalog.images.tagged(name, tag)
        if present == pushed.digest:
            raise self._words.image_exists(pushed.digest, tag, repository=name)
        if present is not None and is_immutable(repository, tag):
            raise self._words.immutable_tag(tag, repository=name)

    def _check_parts(self, repository: Repository, pushed: PushedManifest) -> None:
        name = repository.name
        layers = [part for part in pushed.layers if self._catalog.layers.find(name, part) is None]
        if layers:
            raise self._words.layers_missing(layers, repository=name)
        images = [part for part in pushed.children if self._catalog.images.find(name, part) is None]
        if images:
            raise self._words.images_missing(images, repository=name)

    def find(self, repository: str, *, digest: str | None, tag: str | None) -> Image | None:
        """The image of a digest or tag; of both, if the tag names that digest."""
        tagged = None if tag is None else self._catalog.images.tagged(repository, tag)
        wanted = digest or tagged
        if wanted is None or (tag is not None and tagged != wanted):
            return None
        return self._catalog.images.find(repository, wanted)

    def remove(self, repository: str, digest: str) -> None:
        """Forget an image with its tags, and the blobs that nobody needs any more."""
        self.sweep(self._catalog.images.remove(repository, digest))

    def sweep(self, digests: Iterable[str]) -> None:
        """Remove those of these blobs that no repository has any more."""
        for digest in digests:
            if not self._catalog.layers.is_needed(digest):
                self._blobs.remove(digest)


def is_immutable(repository: Repository, tag: str) -> bool:
    """Whether a tag must stay with its image; the filters name the exceptions."""
    mutability = repository.settings.get("imageTagMutability", "MUTABLE")
    filters = repository.settings.get("imageTagMutabilityExclusionFilters", [])
    is_excepted = any(fnmatchcase(tag, _escaped(entry["filter"])) for entry in filters)
    if str(mutability).endswith("_WITH_EXCLUSION") and is_excepted:
        return str(mutability).startswith("MUTABLE")
    return str(mutability).startswith("IMMUTABLE")


def _escaped(wildcard: str) -> str:
    """The pattern as fnmatch takes it; a filter knows no wildcard but the star."""
    return wildcard.replace("[", "[[]").replace("?", "[?]")
