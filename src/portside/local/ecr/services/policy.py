"""Lifecycle and repository policies: kept and told again; nobody acts on them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from portside.local.ecr.refusal import invalid_parameter

if TYPE_CHECKING:
    from portside.local.ecr.catalog.repository_table import Repository, RepositoryTable
    from portside.local.ecr.lookup import Lookup
    from portside.local.ecr.refusal import Words
    from portside.local.protocol.call import Call
    from portside.local.protocol.fault import Fault


class PolicyService:
    """Put, Get and DeleteLifecyclePolicy; Set, Get and DeleteRepositoryPolicy."""

    def __init__(self, repositories: RepositoryTable, *, lookup: Lookup, words: Words) -> None:
        self._repositories = repositories
        self._lookup = lookup
        self._words = words

    async def put_lifecycle(self, call: Call) -> dict[str, Any]:
        """Keep a lifecycle policy."""
        repository, text = self._lookup.of(call), call.params["lifecyclePolicyText"]
        _check_json(text, member="LifecyclePolicyText")
        self._repositories.save(replace(repository, lifecycle_policy=text))
        return self._lifecycle(repository, text)

    async def get_lifecycle(self, call: Call) -> dict[str, Any]:
        """Tell the lifecycle policy again."""
        repository = self._lookup.of(call)
        return self._lifecycle(repository, repository.lifecycle_policy)

    async def delete_lifecycle(self, call: Call) -> dict[str, Any]:
        """Forget the lifecycle policy."""
        repository = self._lookup.of(call)
        deleted = self._lifecycle(repository, repository.lifecycle_policy)
        self._repositories.save(replace(repository, lifecycle_policy=None))
        return deleted

    async def set_access(self, call: Call) -> dict[str, Any]:
        """Keep a repository policy."""
        repository, text = self._lookup.of(call), call.params["policyText"]
        _check_json(text, member="PolicyText")
        self._repositories.save(replace(repository, policy=text))
        return self._access(repository, text)

    async def get_access(self, call: Call) -> dict[str, Any]:
        """Tell the repository policy again."""
        repository = self._lookup.of(call)
        return self._access(repository, repository.policy)

    async def delete_access(self, call: Call) -> dict[str, Any]:
        """Forget the repository policy."""
        repository = self._lookup.of(call)
        deleted = self._access(repository, repository.policy)
        self._repositories.save(replace(repository, policy=None))
        return deleted

    def _lifecycle(self, repository: Repository, text: str | None) -> dict[str, Any]:
        if text is None:
            raise self._missing("LifecyclePolicyNotFoundException", "Lifecycle", repository)
        return self._named(repository) | {"lifecyclePolicyText": text}

    def _access(self, repository: Repository, text: str | None) -> dict[str, Any]:
        if text is None:
            raise self._missing("RepositoryPolicyNotFoundException", "Repository", repository)
        return self._named(repository) | {"policyText": text}

    def _missing(self, code: str, kind: str, repository: Repository) -> Fault:
        return self._words.no_policy(code, kind, repository=repository.name)

    def _named(self, repository: Repository) -> dict[str, Any]:
        return {"registryId": self._words.account, "repositoryName": repository.name}


def _check_json(text: str, *, member: str) -> None:
    try:
        is_object = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise invalid_parameter(member, "Invalid JSON syntax")
