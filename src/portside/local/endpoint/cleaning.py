"""Artifacts and images on disk that no endpoint needs any more, removed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from portside.local.state.deployment import Endpoint
from portside.local.state.resource import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portside.local.state.deployment import Variant
    from portside.local.state.store import Store

_log = logging.getLogger(__name__)


class Prunable(Protocol):
    """What is kept on disk for as long as an endpoint needs it."""

    async def prune(self, *, in_use: Callable[[], set[str]]) -> None:
        """Remove what is of others than those with these digests."""
        ...


class Cleaning:
    """Looks at what all endpoints need, and has the rest removed."""

    def __init__(self, store: Store, *, artifacts: Prunable, images: Prunable | None) -> None:
        self._store = store
        self._artifacts = artifacts
        self._images = images

    async def clean(self) -> None:
        """Remove what no endpoint needs; what cannot be removed now is tried again later."""
        try:
            await self._artifacts.prune(in_use=self._artifact_digests)
            if self._images is not None:
                await self._images.prune(in_use=self._image_digests)
        except OSError:
            _log.exception("could not remove unused model artifacts or images")

    def _artifact_digests(self) -> set[str]:
        """The artifacts that endpoints need."""
        return {variant.model_data_digest or "" for variant in self._variants()}

    def _image_digests(self) -> set[str]:
        """The images that endpoints need."""
        return {(variant.resolved_image or "").partition("@")[2] for variant in self._variants()}

    def _variants(self) -> Iterator[Variant]:
        """Of all endpoints: what they run and what they are about to."""
        for resource in self._store.all_of(Kind.ENDPOINT):
            endpoint = Endpoint.of(resource)
            for deployment in (endpoint.deployment, endpoint.pending):
                yield from () if deployment is None else deployment.variants
