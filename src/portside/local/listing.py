"""The members that every List operation shares, turned into a query and back.

The token is the place where the last page ended, in base64, so that it stays
right while resources come and go. A client cannot do harm with one of its own
making: it is checked, and only compared with.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from portside.local.clock import milliseconds
from portside.local.refusal import invalid
from portside.local.state.store import Query, SortKey

if TYPE_CHECKING:
    from datetime import datetime

    from portside.local.protocol.call import Call
    from portside.local.state.resource import Kind, Resource
    from portside.local.state.store import Store

_MAX_TIME_MS: Final = 2**63 - 1
"""What the store can compare with."""

DEFAULT_MAX_RESULTS: Final = 10
"""Page size where the request names none. API ListModels."""


def list_resources(store: Store, call: Call, kind: Kind) -> tuple[list[Resource], dict[str, str]]:
    """One page, newest first unless asked otherwise, and `{"NextToken": …}` when there is more."""
    params = call.params
    sort_by = SortKey(params.get("SortBy", SortKey.CREATION_TIME))
    descending = params.get("SortOrder", "Descending") == "Descending"
    limit = params.get("MaxResults", DEFAULT_MAX_RESULTS)
    token = params.get("NextToken")
    found = store.select(
        Query(
            kind=kind,
            account=call.account,
            region=call.region,
            limit=limit + 1,  # one more than asked for tells whether there is more
            sort_by=sort_by,
            descending=descending,
            name_contains=params.get("NameContains"),
            status=params.get("StatusEquals"),
            created_before_ms=_bound(params.get("CreationTimeBefore")),
            created_after_ms=_bound(params.get("CreationTimeAfter")),
            modified_before_ms=_bound(params.get("LastModifiedTimeBefore")),
            modified_after_ms=_bound(params.get("LastModifiedTimeAfter")),
            after=_decode(token, sort_by=sort_by, descending=descending) if token else None,
        )
    )
    page = found[:limit]
    if len(found) <= limit:
        return page, {}
    return page, {"NextToken": _encode(page[-1], sort_by=sort_by, descending=descending)}


def _bound(instant: datetime | None) -> int | None:
    return None if instant is None else milliseconds(instant)


def _encode(last: Resource, *, sort_by: SortKey, descending: bool) -> str:
    place = [sort_by, descending, _value(last, sort_by), last.name.lower()]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _value(resource: Resource, sort_by: SortKey) -> str | int:
    match sort_by:
        case SortKey.NAME:
            return resource.name.lower()
        case SortKey.CREATION_TIME:
            return resource.creation_time_ms
        case SortKey.STATUS:
            return resource.status


def _decode(token: str, *, sort_by: SortKey, descending: bool) -> tuple[str | int, str]:
    try:
        place = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise _bad_token() from error
    match place:
        case [by, order, value, str(name)] if (
            by == sort_by and order is descending and name.isascii()
        ):
            return _checked_value(value, sort_by), name
        case _:
            raise _bad_token()


def _checked_value(value: object, sort_by: SortKey) -> str | int:
    match value:
        case int() if sort_by is SortKey.CREATION_TIME and 0 <= value <= _MAX_TIME_MS:
            return value
        case str() if sort_by is not SortKey.CREATION_TIME and value.isascii():
            return value
        case _:
            raise _bad_token()


def _bad_token() -> Exception:
    return invalid("Invalid NextToken: it was not given by a list in this order.")
