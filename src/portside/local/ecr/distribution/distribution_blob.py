"""Blobs by the distribution API: streamed out, whole or in a range, and streamed in.

    POST uploads/ ──mount──▶ 201, the layer of another repository
         │       └─digest──▶ 201, the body was all of it
         └▶ 202 ─▶ PATCH uploads/ID … ─▶ PUT uploads/ID?digest= ─▶ 201

A PATCH is answered with 202, as the specification wants it; ECR says 201 (dotnet/sdk-container-
builds#279), which clients have to know of.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, BinaryIO, Final

from portside.local.ecr.blob_store import READ_BYTES
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from portside.local.asgi import Body
    from portside.local.clock import Clock
    from portside.local.ecr.blob_store import BlobStore
    from portside.local.ecr.catalog.catalog import Catalog
    from portside.local.ecr.catalog.upload_table import Upload
    from portside.local.ecr.upload import Uploads
    from portside.local.protocol.message import Request

_RANGE: Final = re.compile(r"bytes=([0-9]{1,15})-([0-9]{0,15})")
_CONTENT_RANGE: Final = re.compile(r"(?:bytes )?([0-9]{1,15})-([0-9]{1,15})(?:/(?:[0-9]+|\*))?")
_OCTETS: Final = ("Content-Type", "application/octet-stream")


class Blobs:
    """Answers for `blobs/…`."""

    def __init__(
        self, catalog: Catalog, store: BlobStore, *, uploads: Uploads, clock: Clock
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._uploads = uploads
        self._clock = clock

    # --- Out -----------------------------------------------------------------

    async def read(self, request: Request, repository: str, digest: str) -> Response:
        """Give a blob that this repository has; raises `Fault`."""
        if request.method not in {"GET", "HEAD"}:
            raise Fault("UNSUPPORTED", f"{request.method} of a blob", status=405)
        layer = self._catalog.layers.find(repository, digest)
        if layer is None:
            raise Fault("BLOB_UNKNOWN", "blob unknown to registry", status=404)
        first, last, status = 0, layer.size - 1, 200
        headers = [_OCTETS, ("Docker-Content-Digest", digest), ("Accept-Ranges", "bytes")]
        if asked := _RANGE.fullmatch(request.header("range") or ""):
            first = int(asked[1])
            last = min(last, int(asked[2])) if asked[2] else last
            if first > last:
                raise Fault("RANGE_INVALID", f"the blob has {layer.size} bytes", status=416)
            status = 206
            headers.append(("Content-Range", f"bytes {first}-{last}/{layer.size}"))
        headers.append(("Content-Length", str(last - first + 1)))
        file = await asyncio.to_thread(self._store.path(digest).open, "rb")
        count = last - first + 1 if request.method == "GET" else 0
        pieces = _pieces(file, first=first, count=count)
        return Response(status=status, headers=tuple(headers), body=pieces)

    # --- In ------------------------------------------------------------------

    async def upload(
        self, request: Request, repository: str, upload_id: str, query: dict[str, str], body: Body
    ) -> Response:
        """Begin, go on with, finish, look at or give up an upload; raises `Fault`."""
        if not upload_id:
            if request.method != "POST":
                raise Fault("UNSUPPORTED", f"{request.method} without an upload", status=405)
            return await self._begin(repository, query, body)
        match request.method:
            case "GET":
                return _progress(self._uploads.find(upload_id, repository=repository), status=204)
            case "PATCH":
                upload = await self._add(request, repository, upload_id, body)
                return _progress(upload, status=202)
            case "PUT":
                await self._add(request, repository, upload_id, body)
                return await self._complete(repository, upload_id, query)
            case "DELETE":
                self._uploads.cancel(self._uploads.find(upload_id, repository=repository))
                return Response(status=204)
            case _:
                raise Fault("UNSUPPORTED", f"{request.method} of an upload", status=405)

    async def _begin(self, repository: str, query: dict[str, str], body: Body) -> Response:
        if (mount := query.get("mount")) and (origin := query.get("from")):
            layer = self._catalog.layers.find(origin, mount)
            if layer is not None:
                self._catalog.layers.add(repository, layer, now_ms=self._clock.now_ms())
                return _done(repository, mount)
        upload = self._uploads.begin(repository)
        if "digest" not in query:
            return _progress(upload, status=202)
        upload = await self._uploads.add(upload.id, aiter(body), repository=repository)
        if upload.size == 0:  # it was only said what is to come
            return _progress(upload, status=202)
        return await self._complete(repository, upload.id, query)

    async def _add(self, request: Request, repository: str, upload_id: str, body: Body) -> Upload:
        stated = request.header("content-range")
        if stated is None:
            return await self._uploads.add(upload_id, aiter(body), repository=repository)
        asked = _CONTENT_RANGE.fullmatch(stated)
        if asked is None:
            raise Fault("BLOB_UPLOAD_INVALID", f"'{stated}' is no range")
        first, last = int(asked[1]), int(asked[2])
        pieces = _exactly(aiter(body), count=last - first + 1)
        return await self._uploads.add(upload_id, pieces, repository=repository, first_byte=first)

    async def _complete(self, repository: str, upload_id: str, query: dict[str, str]) -> Response:
        digest = query.get("digest", "")
        try:
            await self._uploads.complete(upload_id, [digest], repository=repository, by_parts=False)
        except Fault as fault:
            if fault.code != "LayerAlreadyExistsException":  # a second push is none here
                raise
        return _done(repository, digest)


async def _pieces(file: BinaryIO, *, first: int, count: int) -> AsyncGenerator[bytes, None]:
    """Part of a file."""
    with file:
        file.seek(first)
        left = count
        while left and (piece := await asyncio.to_thread(file.read, min(READ_BYTES, left))):
            left -= len(piece)
            yield piece


async def _exactly(pieces: AsyncIterator[bytes], *, count: int) -> AsyncIterator[bytes]:
    """The pieces, if they have so many bytes; raises `Fault` at the first one too many."""
    left = count
    async for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left != 0:
        told = "more" if left < 0 else "fewer"
        raise Fault("SIZE_INVALID", f"the body has {told} bytes than its Content-Range says")


def _progress(upload: Upload, *, status: int) -> Response:
    return Response(
        status=status,
        headers=(
            ("Location", f"/v2/{upload.repository}/blobs/uploads/{upload.id}"),
            ("Docker-Upload-UUID", upload.id),
            ("Range", f"0-{max(upload.size - 1, 0)}"),
        ),
    )


def _done(repository: str, digest: str) -> Response:
    return Response(
        status=201,
        headers=(
            ("Location", f"/v2/{repository}/blobs/{digest}"),
            ("Docker-Content-Digest", digest),
        ),
    )
