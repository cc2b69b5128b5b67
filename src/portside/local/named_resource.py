"""The resource that a call names, in its own account and region: a new one, or one that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portside.local.refusal import not_found
from portside.local.state.resource import Kind, Resource, arn_of

if TYPE_CHECKING:
    from portside.local.protocol.call import Call
    from portside.local.state.store import Store


def named_arn(call: Call, kind: Kind, *, name: str) -> str:
    """The ARN that goes with a name."""
    return arn_of(kind, name, account=call.account, region=call.region)


def find_named(store: Store, call: Call, *, kind: Kind, name: str) -> Resource:
    """The resource of this name; raises `Fault`."""
    arn = named_arn(call, kind, name=name)
    resource = store.find(arn)
    if resource is None:
        raise not_found(kind, arn)
    return resource


def new_named(
    call: Call, kind: Kind, *, name: str, members: dict[str, Any], now_ms: int
) -> Resource:
    """A resource that was never changed, for the store to keep."""
    return Resource(
        kind=kind,
        account=call.account,
        region=call.region,
        name=name,
        creation_time_ms=now_ms,
        last_modified_time_ms=now_ms,
        members=members,
    )
