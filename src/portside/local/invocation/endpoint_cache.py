"""Endpoints as the store has them, without asking it for each invocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.local.state.deployment import Endpoint

if TYPE_CHECKING:
    from portside.local.state.store import Store


class EndpointCache:
    """Keeps what it read until anything in the store changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_arn: dict[str, Endpoint] = {}
        self._revision = -1

    def find(self, arn: str) -> Endpoint | None:
        """The endpoint with this ARN."""
        if self._revision != self._store.revision:
            self._revision = self._store.revision
            self._by_arn.clear()
        found = self._by_arn.get(arn)
        if found is None and (resource := self._store.find(arn)) is not None:
            found = self._by_arn[arn] = Endpoint.of(resource)
        return found
