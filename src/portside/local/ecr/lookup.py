"""The repository that a call is about, by name and registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portside.local.ecr.catalog import Catalog, Repository
    from portside.local.ecr.refusal import Words
    from portside.local.protocol.call import Call


class Lookup:
    """Finds repositories for the operations; there is one registry, the account's."""

    def __init__(self, catalog: Catalog, *, words: Words) -> None:
        self._catalog = catalog
        self._words = words

    def of(self, call: Call) -> Repository:
        """The repository that a call names; raises `Fault`."""
        name, registry = call.params["repositoryName"], call.params.get("registryId")
        return self.named(name, registry=registry)

    def named(self, name: str, *, registry: str | None = None) -> Repository:
        """The repository of this name; raises `Fault`."""
        is_ours = registry in {None, self._words.account}
        found = self._catalog.repository(name) if is_ours else None
        if found is None:
            raise self._words.no_repository(name, registry=registry)
        return found
