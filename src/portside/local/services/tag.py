"""Tags on resources, by ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from portside.local.named_resource import named_arn
from portside.local.refusal import invalid, not_built, not_found
from portside.local.state.resource import Kind
from portside.local.tag_list import read_tags, told_tags

if TYPE_CHECKING:
    from portside.local.protocol.call import Call
    from portside.local.state.store import Store

MAX_TAGS: Final = 50
"""Of one resource. BC TagList."""


class TagService:
    """AddTags, ListTags, DeleteTags."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, call: Call) -> dict[str, Any]:
        """Add tags or change their values; the answer has all tags of the resource."""
        arn = self._checked_arn(call)
        added = read_tags(call.params["Tags"])
        if len(self._store.tags(arn) | added) > MAX_TAGS:
            raise invalid(f"A resource may have {MAX_TAGS} tags at most.")
        self._store.add_tags(arn, added)
        return {"Tags": told_tags(self._store.tags(arn))}

    async def list_page(self, call: Call) -> dict[str, Any]:
        """All tags: the fewest that a page may be asked to hold is what a resource can have."""
        arn = self._checked_arn(call)
        if "NextToken" in call.params:
            raise invalid("Invalid NextToken: ListTags answers everything on one page.")
        return {"Tags": told_tags(self._store.tags(arn))}

    async def delete(self, call: Call) -> dict[str, Any]:
        """Remove tags by key."""
        self._store.remove_tags(self._checked_arn(call), call.params["TagKeys"])
        return {}

    def _checked_arn(self, call: Call) -> str:
        """The ARN in the spelling of the store, when there is such a resource."""
        given: str = call.params["ResourceArn"]
        kind_word, _, name = given.rpartition(":")[2].partition("/")
        if kind_word not in set(Kind):
            raise not_built(f"A tag on `{kind_word}`")
        kind = Kind(kind_word)
        arn = named_arn(call, kind, name=name)
        if given.lower() != arn or self._store.find(arn) is None:
            raise not_found(kind, given)
        return arn
