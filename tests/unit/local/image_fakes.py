"""Images that were pushed, made on the spot, and a local ECR that holds them."""

from __future__ import annotations

import gzip
import hashlib
import io
import platform
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from portside.image.oci import (
    Config,
    Descriptor,
    Execution,
    Manifest,
    MediaType,
    RootFs,
    digest_of,
    encode,
)
from portside.image.reference import Reference
from portside.local.instance.image.process_plan import TAKES_PORT
from portside.local.instance.runtime_image import ImageMissingError

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
THERE = "arm64" if HERE == "amd64" else "amd64"
REPOSITORY = "000000000000.dkr.ecr.us-east-1.amazonaws.com/pushed"


@dataclass(frozen=True, kw_only=True)
class FakeImage:
    """An image with one layer on disk."""

    digest: str
    manifest: Manifest
    config: Config
    folder: Path

    def path(self, blob: Descriptor, /) -> Path:
        return self.folder / blob.digest.removeprefix("sha256:")


@dataclass(frozen=True, kw_only=True)
class FakeStore:
    """Images by the tag or the digest of their name."""

    folder: Path
    images: dict[str, FakeImage] = field(default_factory=dict)

    def find(self, reference: Reference, /) -> FakeImage:
        found = self.images.get(reference.digest or reference.tag or "latest")
        if found is None or not str(reference).startswith(REPOSITORY):
            raise ImageMissingError(str(reference))
        return found

    def push(self, tag: str, files: dict[str, str], *, config: Config) -> FakeImage:
        tar = _tar(files)
        blob = gzip.compress(tar, mtime=0)
        config = Config(
            architecture=config.architecture,
            os=config.os,
            config=config.config,
            rootfs=RootFs(diff_ids=(digest_of(tar),)),
        )
        layer = self._keep(blob, MediaType.DOCKER_LAYER)
        manifest = Manifest(
            schema_version=2,
            media_type=MediaType.DOCKER_MANIFEST,
            config=self._keep(encode(config), MediaType.DOCKER_CONFIG),
            layers=(layer,),
        )
        image = FakeImage(
            digest=digest_of(encode(manifest)),
            manifest=manifest,
            config=config,
            folder=self.folder,
        )
        self.images[tag] = self.images[image.digest] = image
        return image

    def delete(self, image: FakeImage) -> None:
        for name in [name for name, held in self.images.items() if held is image]:
            del self.images[name]

    def _keep(self, data: bytes, media_type: str) -> Descriptor:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return Descriptor(media_type=media_type, size=len(data), digest=digest_of(data))


def config(
    architecture: str = HERE, *, takes_port: bool = True, execution: Execution | None = None
) -> Config:
    labels = {TAKES_PORT: "true"} if takes_port else {}
    return Config(
        architecture=architecture,
        os="linux",
        config=execution or Execution(entrypoint=("/bin/server",), labels=labels),
        rootfs=RootFs(),
    )


def _tar(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as out:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o755
            out.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()
