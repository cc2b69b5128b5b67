"""What a container answered, where InvokeEndpoint tells of it as a ModelError."""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import ClientError

from portside.errors import RemoteError


def answered_status(error: RemoteError) -> int | None:
    """The container's own HTTP status; 0 where it gave none in time, None for other errors."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ClientError):
            details: Mapping[str, object] = cause.response
            status = details.get("OriginalStatusCode")
            return None if status is None else int(str(status))
        cause = cause.__cause__
    return None
