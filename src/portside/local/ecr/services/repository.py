"""Repositories: made, described, deleted, and what is set on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from portside.local.clock import moment
from portside.local.ecr.catalog.repository_table import Repository
from portside.local.ecr.listing import page
from portside.local.ecr.lookup import arn_of
from portside.local.ecr.refusal import invalid_parameter
from portside.local.refusal import not_built
from portside.local.tag_list import read_tags

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.ecr.blob_store import BlobStore
    from portside.local.ecr.catalog.catalog import Catalog
    from portside.local.ecr.image import Images
    from portside.local.ecr.lookup import Lookup
    from portside.local.ecr.refusal import Words
    from portside.local.protocol.call import Call

_DEFAULTS: Final[dict[str, Any]] = {
    "imageTagMutability": "MUTABLE",
    "imageScanningConfiguration": {"scanOnPush": False},
    "encryptionConfiguration": {"encryptionType": "AES256"},
}
"""BC CreateRepositoryRequest. Scanning and encryption are told again, and not done."""
_FILTERS: Final = "imageTagMutabilityExclusionFilters"


class RepositoryService:
    """The operations of repositories themselves; `address` is the registry's host and port."""

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        *,
        images: Images,
        lookup: Lookup,
        words: Words,
        clock: Clock,
        address: str,
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._images = images
        self._lookup = lookup
        self._words = words
        self._clock = clock
        self._address = address

    async def create(self, call: Call) -> dict[str, Any]:
        """Make an empty repository."""
        name, params = call.params["repositoryName"], call.params
        if params.get("registryId", self._words.account) != self._words.account:
            raise not_built("A repository of another registry")
        settings = _DEFAULTS | {key: params[key] for key in _DEFAULTS if key in params}
        repository = Repository(
            name=name,
            created_ms=self._clock.now_ms(),
            settings=settings | _filters(params),
        )
        if not self._catalog.repositories.add(repository, tags=read_tags(params.get("tags", []))):
            raise self._words.repository_exists(name)
        return {"repository": self._described(repository, call)}

    async def describe(self, call: Call) -> dict[str, Any]:
        """The repositories that were named, or a page of all."""
        registry = call.params.get("registryId")
        if names := call.params.get("repositoryNames"):
            found = [self._lookup.named(name, registry=registry) for name in names]
            return {"repositories": [self._described(repository, call) for repository in found]}
        if registry not in {None, self._words.account}:
            return {"repositories": []}
        repositories, token = page(
            call,
            lambda after, limit: self._catalog.repositories.page(after=after, limit=limit),
            key=lambda repository: repository.name,
        )
        return {"repositories": [self._described(one, call) for one in repositories], **token}

    async def delete(self, call: Call) -> dict[str, Any]:
        """Remove a repository, with its images where that is asked for."""
        repository = self._lookup.of(call)
        if self._catalog.images.has_any(repository.name) and not call.params.get("force", False):
            raise self._words.not_empty(repository.name)
        digests, uploads = self._catalog.repositories.remove(repository.name)
        for upload in uploads:
            self._blobs.discard(upload)
        self._images.sweep(digests)
        return {"repository": self._described(repository, call)}

    async def put_tag_mutability(self, call: Call) -> dict[str, Any]:
        """Say whether tags may be moved from image to image."""
        repository = self._lookup.of(call)
        kept = {key: value for key, value in repository.settings.items() if key != _FILTERS}
        changed = {"imageTagMutability": call.params["imageTagMutability"]} | _filters(call.params)
        self._catalog.repositories.save(replace(repository, settings=kept | changed))
        return self._named(repository) | changed

    async def put_scanning(self, call: Call) -> dict[str, Any]:
        """Say whether images are to be scanned; none is."""
        repository = self._lookup.of(call)
        changed = {"imageScanningConfiguration": call.params["imageScanningConfiguration"]}
        self._catalog.repositories.save(replace(repository, settings=repository.settings | changed))
        return self._named(repository) | changed

    def _named(self, repository: Repository) -> dict[str, Any]:
        return {"registryId": self._words.account, "repositoryName": repository.name}

    def _described(self, repository: Repository, call: Call) -> dict[str, Any]:
        return {
            "repositoryArn": arn_of(repository.name, account=call.account, region=call.region),
            **self._named(repository),
            "repositoryUri": f"{self._address}/{repository.name}",
            "createdAt": moment(repository.created_ms),
            **repository.settings,
        }


def _filters(params: dict[str, Any]) -> dict[str, Any]:
    """The exceptions of a mutability, which only two of the four kinds have."""
    filters = params.get(_FILTERS)
    has_exceptions = str(params.get("imageTagMutability", "")).endswith("_WITH_EXCLUSION")
    if bool(filters) != has_exceptions:
        told = "is missing" if has_exceptions else "needs a mutability WITH_EXCLUSION"
        raise invalid_parameter(_FILTERS, told)
    return {_FILTERS: filters} if filters else {}
