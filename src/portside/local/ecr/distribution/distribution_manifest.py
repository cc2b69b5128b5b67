"""Manifests by the distribution API: pulled by tag or digest, pushed under one of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.image.oci import MANIFEST_BYTES, digest_of
from portside.local.ecr.refusal import IMAGE_NOT_FOUND
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Response

if TYPE_CHECKING:
    from portside.local.asgi import Body
    from portside.local.ecr.catalog.image_table import Image
    from portside.local.ecr.catalog.repository_table import Repository
    from portside.local.ecr.image import Images
    from portside.local.protocol.message import Request

_TAG_CHARACTERS: Final = 128
"""Most of a tag. OCI distribution specification 1.1, "Pulling manifests"."""


class Manifests:
    """Answers for `manifests/…`."""

    def __init__(self, images: Images) -> None:
        self._images = images

    async def answer(
        self, request: Request, repository: Repository, reference: str, body: Body
    ) -> Response:
        """Give or take a manifest; raises `Fault`."""
        is_digest = ":" in reference
        digest, tag = (reference, None) if is_digest else (None, reference)
        match request.method:
            case "GET" | "HEAD":
                found = self._images.find(repository.name, digest=digest, tag=tag)
                if found is None:
                    raise Fault("MANIFEST_UNKNOWN", IMAGE_NOT_FOUND, status=404)
                return _told(found)
            case "PUT":
                if tag is not None and len(tag) > _TAG_CHARACTERS:
                    raise Fault("TAG_INVALID", f"'{tag}' is no tag")
                data = await body.read(limit=MANIFEST_BYTES)
                return self._put(request, repository, data, digest=digest, tag=tag)
            case _:
                raise Fault("UNSUPPORTED", f"{request.method} of a manifest", status=405)

    def _put(
        self,
        request: Request,
        repository: Repository,
        data: bytes,
        *,
        digest: str | None,
        tag: str | None,
    ) -> Response:
        stated = (request.header("content-type") or "").partition(";")[0].strip()
        try:
            self._images.put(repository, data, media_type=stated or None, tag=tag, digest=digest)
        except Fault as fault:
            if fault.code != "ImageAlreadyExistsException":  # a second push is none here
                raise
        own = digest_of(data)
        location = f"/v2/{repository.name}/manifests/{own}"
        return Response(
            status=201, headers=(("Location", location), ("Docker-Content-Digest", own))
        )


def _told(image: Image) -> Response:
    headers = (("Content-Type", image.media_type), ("Docker-Content-Digest", image.digest))
    return Response(status=200, headers=headers, body=image.manifest)
