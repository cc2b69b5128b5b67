"""Layers: asked for, uploaded in parts, downloaded; and the password for docker.

BatchCheckLayerAvailability ─▶ InitiateLayerUpload ─▶ UploadLayerPart … ─▶ CompleteLayerUpload
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

from portside.local.clock import moment
from portside.local.ecr.login import USER
from portside.local.ecr.refusal import invalid_parameter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portside.local.ecr.catalog.layer_table import LayerTable
    from portside.local.ecr.login import Login
    from portside.local.ecr.lookup import Lookup
    from portside.local.ecr.refusal import Words
    from portside.local.ecr.upload import Uploads
    from portside.local.protocol.call import Call

PART_BYTES: Final = 20 * 1024 * 1024
"""Most of a part. BC LayerPartBlob."""
_DIGEST: Final = re.compile(r"[a-zA-Z0-9\-_+.]+:[a-fA-F0-9]+")
"""BC LayerDigest."""


class LayerService:
    """The operations of layers; `address` is the registry's host and port."""

    def __init__(
        self,
        layers: LayerTable,
        *,
        uploads: Uploads,
        login: Login,
        lookup: Lookup,
        words: Words,
        address: str,
    ) -> None:
        self._layers = layers
        self._uploads = uploads
        self._login = login
        self._lookup = lookup
        self._words = words
        self._address = address

    async def authorize(self, _: Call) -> dict[str, Any]:
        """A password for docker, podman and skopeo."""
        password, expires_ms = self._login.password()
        authorization = {
            "authorizationToken": base64.b64encode(f"{USER}:{password}".encode()).decode(),
            "expiresAt": moment(expires_ms),
            "proxyEndpoint": f"http://{self._address}",
        }
        return {"authorizationData": [authorization]}

    async def check(self, call: Call) -> dict[str, Any]:
        """Which of these layers the repository has."""
        repository = self._lookup.of(call)
        layers, failures = [], []
        for digest in call.params["layerDigests"]:
            found = self._layers.find(repository.name, digest)
            if found is not None:
                told = {"layerDigest": digest, "layerAvailability": "AVAILABLE"}
                layers.append(told | {"layerSize": found.size})
            else:
                failures.append(_missing(digest))
        return {"layers": layers, "failures": failures}

    async def initiate(self, call: Call) -> dict[str, Any]:
        """Begin to upload a layer."""
        upload = self._uploads.begin(self._lookup.of(call).name)
        return {"uploadId": upload.id, "partSize": PART_BYTES}

    async def upload_part(self, call: Call) -> dict[str, Any]:
        """Take the next part of a layer."""
        repository, params = self._lookup.of(call), call.params
        upload_id, blob = params["uploadId"], params["layerPartBlob"]
        upload = self._uploads.find(upload_id, repository=repository.name)
        if len(blob) > PART_BYTES:
            told = f"Member must have length less than or equal to {PART_BYTES}"
            raise invalid_parameter("layerPartBlob", told)
        first, last = params["partFirstByte"], params["partLastByte"]
        if last - first + 1 != len(blob):
            raise self._words.wrong_part(upload_id, repository=repository.name, size=upload.size)
        upload = await self._uploads.add(
            upload_id, _once(blob), repository=repository.name, first_byte=first
        )
        return {
            "registryId": self._words.account,
            "repositoryName": repository.name,
            "uploadId": upload.id,
            "lastByteReceived": upload.size - 1,
        }

    async def complete(self, call: Call) -> dict[str, Any]:
        """Make the parts a layer."""
        repository, upload_id = self._lookup.of(call), call.params["uploadId"]
        layer = await self._uploads.complete(
            upload_id, call.params["layerDigests"], repository=repository.name, by_parts=True
        )
        return {
            "registryId": self._words.account,
            "repositoryName": repository.name,
            "uploadId": upload_id,
            "layerDigest": layer.digest,
        }

    async def download_url(self, call: Call) -> dict[str, Any]:
        """A link to a layer, good for an hour without a password."""
        name, digest = self._lookup.of(call).name, call.params["layerDigest"]
        if self._layers.find(name, digest) is None:
            raise self._words.no_layer(digest, repository=name)
        query = self._login.link_query(name, digest)
        url = f"http://{self._address}/v2/{name}/blobs/{digest}?{query}"
        return {"downloadUrl": url, "layerDigest": digest}


async def _once(blob: bytes) -> AsyncIterator[bytes]:
    yield blob


def _missing(digest: str) -> dict[str, str]:
    """As moto has it."""
    if _DIGEST.fullmatch(digest):
        code, reason = "MissingLayerDigest", f"Layer digest '{digest}' could not be found"
    else:
        code, reason = "InvalidLayerDigest", f"Invalid layer digest '{digest}'"
    return {"layerDigest": digest, "failureCode": code, "failureReason": reason}
