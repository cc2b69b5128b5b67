"""Pages of lists: ECR's default size, and a token that is the place where the last one ended."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, TypeVar

from portside.local.ecr.refusal import invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.local.protocol.call import Call

DEFAULT_RESULTS: Final = 100
"""Where a request names none. BC DescribeRepositoriesRequest.maxResults."""

_Row = TypeVar("_Row")


def page(
    call: Call, select: Callable[[str, int], list[_Row]], *, key: Callable[[_Row], str]
) -> tuple[list[_Row], dict[str, str]]:
    """The rows of one page, and `{"nextToken": …}` where there are more.

    `select` gives so many rows whose keys come after one, in order.
    """
    limit = call.params.get("maxResults", DEFAULT_RESULTS)
    after = _decode(call.params["nextToken"]) if call.params.get("nextToken") else ""
    rows = select(after, limit + 1)  # one more than asked for tells whether there is more
    if len(rows) <= limit:
        return rows, {}
    last = key(rows[limit - 1])
    return rows[:limit], {"nextToken": base64.urlsafe_b64encode(last.encode()).decode()}


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise invalid_parameter("nextToken", "Invalid nextToken") from error
