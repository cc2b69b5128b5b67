"""The repository that a call is about, by name and registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.local.state.resource import partition_of

if TYPE_CHECKING:
    from portside.local.ecr.catalog.repository_table import Repository, RepositoryTable
    from portside.local.ecr.refusal import Words
    from portside.local.protocol.call import Call


class Lookup:
    """Finds repositories for the operations; there is one registry, the account's."""

    def __init__(self, repositories: RepositoryTable, *, words: Words) -> None:
        self._repositories = repositories
        self._words = words

    def of(self, call: Call) -> Repository:
        """The repository that a call names; raises `Fault`."""
        name, registry = call.params["repositoryName"], call.params.get("registryId")
        return self.named(name, registry=registry)

    def named(self, name: str, *, registry: str | None = None) -> Repository:
        """The repository of this name; raises `Fault`."""
        is_ours = registry in {None, self._words.account}
        found = self._repositories.find(name) if is_ours else None
        if found is None:
            raise self._words.no_repository(name, registry=registry)
        return found


def arn_of(name: str, *, account: str, region: str) -> str:
    """The ARN of a repository."""
    return f"arn:{partition_of(region)}:ecr:{region}:{account}:repository/{name}"
