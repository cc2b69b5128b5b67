"""What may be sent: content types by a file's name, sizes by an endpoint's kind."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final, assert_never

from portside import contract
from portside.client.endpoint import Kind
from portside.errors import UsageError

JSON: Final = "application/json"

_TYPE_BY_SUFFIX: Final = {
    ".json": JSON,
    ".jsonl": "application/jsonlines",
    ".ndjson": "application/jsonlines",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".bin": "application/octet-stream",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
"""What Portside's serving runtime reads: docs/reference/codecs.md."""


def content_type_of(file: PurePath) -> str:
    """The content type that a file's name tells; raises `UsageError` where it tells none."""
    found = _TYPE_BY_SUFFIX.get(file.suffix.lower())
    if found is None:
        raise UsageError(
            f"cannot tell the content type of `{file}` from its name",
            hint="add it, as in `--content-type application/octet-stream`",
        )
    return found


def limit_bytes(kind: Kind) -> int:
    """The largest body that an endpoint of this kind takes, in bytes."""
    match kind:
        case Kind.SERVERLESS:
            return contract.SERVERLESS_PAYLOAD_BYTES
        case Kind.REALTIME:
            return contract.REALTIME_PAYLOAD_BYTES
        case Kind.ASYNC:
            return contract.ASYNC_PAYLOAD_BYTES
        case _:
            assert_never(kind)


def check_size(size_bytes: int, endpoint: str, *, kind: Kind) -> None:
    """Raise `UsageError` for a body that is larger than the platform lets through."""
    most = limit_bytes(kind)
    if size_bytes <= most:
        return
    raise UsageError(
        f"cannot send {size_bytes:,} bytes to `{endpoint}`: "
        f"a body for {_article(kind)} endpoint has at most {most:,}",
        hint=_WAY_ON[kind],
    )


_WAY_ON: Final = {
    Kind.SERVERLESS: "send less in one request, or deploy it as `realtime` (25 MiB) "
    "or `async` (1 GiB): key `kind` in `[endpoint]`",
    Kind.REALTIME: "send less in one request, or deploy it as `async` (1 GiB): "
    "key `kind` in `[endpoint]`",
    Kind.ASYNC: "send less in one request",
}


def _article(kind: Kind) -> str:
    return f"an {kind}" if kind is Kind.ASYNC else f"a {kind}"
