"""A registry in a folder, with the operations called past HTTP and signatures."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from portside.local.asgi import Body
from portside.local.data_folder import Keys
from portside.local.ecr.registry import EcrRegistry
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request, Response
from tests.unit.local.state_fakes import ACCOUNT, REGION, FakeClock, call

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEYS = Keys(access_key_id="PSIDLOCALABCDEFGHIJK", secret_access_key="s" * 40)
ADDRESS = "127.0.0.1:4566"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def manifest(*layers: bytes, config: bytes = CONFIG, media_type: str = DOCKER) -> str:
    """The manifest of an image of these layers."""
    kind = "docker" if media_type == DOCKER else "oci"
    types = {
        "docker": (
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
        "oci": (
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ),
    }[kind]
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": _descriptor(config, types[0]),
            "layers": [_descriptor(layer, types[1]) for layer in layers],
        }
    )


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(data), "digest": digest_of(data)}


@dataclass
class Ecr:
    """One life of a registry."""

    registry: EcrRegistry
    clock: FakeClock
    folder: Path

    async def __call__(self, operation: str, /, **params: Any) -> dict[str, Any]:
        asked = call(operation, service="ecr", **params)
        output: dict[str, Any] = await self.registry.operations[operation](asked)
        return output

    async def refused(self, operation: str, /, **params: Any) -> Fault:
        with pytest.raises(Fault) as caught:
            await self(operation, **params)
        return caught.value

    async def push_layer(self, data: bytes, *, name: str = "app") -> str:
        """Upload a layer in one part; its digest."""
        upload = (await self("InitiateLayerUpload", repositoryName=name))["uploadId"]
        await self.part(upload, data, name=name)
        done = await self(
            "CompleteLayerUpload",
            repositoryName=name,
            uploadId=upload,
            layerDigests=[digest_of(data)],
        )
        return str(done["layerDigest"])

    async def part(
        self, upload: str, data: bytes, *, first: int = 0, name: str = "app"
    ) -> dict[str, Any]:
        return await self(
            "UploadLayerPart",
            repositoryName=name,
            uploadId=upload,
            partFirstByte=first,
            partLastByte=first + len(data) - 1,
            layerPartBlob=data,
        )

    async def push_image(
        self, *layers: bytes, tag: str | None = "1", name: str = "app", media_type: str = DOCKER
    ) -> str:
        """Push layers that are not there yet, and the image; its digest."""
        for data in (CONFIG, *layers):
            asked = {"repositoryName": name, "layerDigests": [digest_of(data)]}
            if not (await self("BatchCheckLayerAvailability", **asked))["layers"]:
                await self.push_layer(data, name=name)
        tagged = {} if tag is None else {"imageTag": tag}
        text = manifest(*layers, media_type=media_type)
        put = await self("PutImage", repositoryName=name, imageManifest=text, **tagged)
        return str(put["image"]["imageId"]["imageDigest"])

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        authorization: str | None = None,
    ) -> Response:
        """A request under `/v2/`, as AWS with a password unless another authorization is named."""
        password = self.registry.password()
        basic = base64.b64encode(f"AWS:{password}".encode()).decode()
        sent = {"authorization": authorization if authorization is not None else f"Basic {basic}"}
        sent |= headers or {}
        path, _, query = path.partition("?")
        request = Request(
            method=method,
            path=path,
            query=query,
            headers=tuple((name, value) for name, value in sent.items() if value),
        )

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.registry.distribution.answer(request, Body(receive))

    def blobs(self) -> set[str]:
        return {f"sha256:{path.name}" for path in (self.folder / "blobs" / "sha256").iterdir()}


def open_ecr(folder: Path, clock: FakeClock) -> Ecr:
    """A registry over what the folder holds."""
    registry = EcrRegistry.open(
        folder, keys=KEYS, account=ACCOUNT, region=REGION, address=ADDRESS, clock=clock
    )
    return Ecr(registry, clock, folder)


async def read(response: Response) -> bytes:
    """The whole body of a response."""
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)
