"""Tags on repositories, by ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from portside.local.ecr.lookup import arn_of
from portside.local.ecr.refusal import invalid_parameter
from portside.local.protocol.fault import Fault
from portside.local.tag_list import read_tags, told_tags

if TYPE_CHECKING:
    from portside.local.ecr.catalog.repository_table import RepositoryTable
    from portside.local.ecr.lookup import Lookup
    from portside.local.protocol.call import Call

_MAX_TAGS: Final = 50
"""Of one repository. BC TooManyTagsException."""


class TagService:
    """TagResource, UntagResource, ListTagsForResource."""

    def __init__(self, repositories: RepositoryTable, *, lookup: Lookup) -> None:
        self._repositories = repositories
        self._lookup = lookup

    async def add(self, call: Call) -> dict[str, Any]:
        """Add tags or change their values."""
        name = self._name(call)
        added = read_tags(call.params["tags"])
        if len(self._repositories.tags(name) | added) > _MAX_TAGS:
            message = f"The maximum number of tags per repository is {_MAX_TAGS}."
            raise Fault("TooManyTagsException", message)
        self._repositories.add_tags(name, added)
        return {}

    async def remove(self, call: Call) -> dict[str, Any]:
        """Remove tags by key."""
        self._repositories.remove_tags(self._name(call), call.params["tagKeys"])
        return {}

    async def list_all(self, call: Call) -> dict[str, Any]:
        """All tags."""
        return {"tags": told_tags(self._repositories.tags(self._name(call)))}

    def _name(self, call: Call) -> str:
        given: str = call.params["resourceArn"]
        name = given.partition(":repository/")[2]
        if given != arn_of(name, account=call.account, region=call.region):
            raise invalid_parameter("resourceArn", "Invalid ARN")
        return self._lookup.named(name).name
