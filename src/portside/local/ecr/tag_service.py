"""Tags on repositories, by ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from portside.local.ecr.refusal import invalid_parameter
from portside.local.ecr.repository_service import arn_of
from portside.local.protocol.fault import Fault

if TYPE_CHECKING:
    from portside.local.ecr.catalog import Catalog
    from portside.local.ecr.lookup import Lookup
    from portside.local.protocol.call import Call

_MAX_TAGS: Final = 50
"""Of one repository. BC TooManyTagsException."""


class TagService:
    """TagResource, UntagResource, ListTagsForResource."""

    def __init__(self, catalog: Catalog, *, lookup: Lookup) -> None:
        self._catalog = catalog
        self._lookup = lookup

    async def add(self, call: Call) -> dict[str, Any]:
        """Add tags or change their values."""
        name = self._name(call)
        added = {tag["Key"]: tag["Value"] for tag in call.params["tags"]}
        if len(self._catalog.repository_tags(name) | added) > _MAX_TAGS:
            message = f"The maximum number of tags per repository is {_MAX_TAGS}."
            raise Fault("TooManyTagsException", message)
        self._catalog.add_repository_tags(name, added)
        return {}

    async def remove(self, call: Call) -> dict[str, Any]:
        """Remove tags by key."""
        self._catalog.remove_repository_tags(self._name(call), call.params["tagKeys"])
        return {}

    async def list_all(self, call: Call) -> dict[str, Any]:
        """All tags."""
        tags = self._catalog.repository_tags(self._name(call))
        return {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _name(self, call: Call) -> str:
        given: str = call.params["resourceArn"]
        name = given.partition(":repository/")[2]
        if given != arn_of(name, account=call.account, region=call.region):
            raise invalid_parameter("resourceArn", "Invalid ARN")
        return self._lookup.named(name).name
