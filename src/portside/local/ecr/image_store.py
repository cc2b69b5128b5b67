"""Images by their names, for who runs them and for CreateModel.

    reference ─▶ ours? ─▶ repository and tag or digest ─▶ manifest ─▶ StoredImage

Two spellings name one image: ECR's own (`{account}.dkr.ecr.{region}.amazonaws.com/…`) and the
address at which docker, podman and skopeo reach the registry (`127.0.0.1:PORT/…`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside.errors import BuildError
from portside.image.oci import MANIFESTS, Config, Descriptor, Manifest, decode
from portside.local.instance.runtime_image import ImageMissingError

if TYPE_CHECKING:
    from portside.image.reference import Reference
    from portside.local.ecr.blob_store import BlobStore
    from portside.local.ecr.catalog.image_table import Image, ImageTable

_LATEST: Final = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image of one platform, whole on this disk; `manifest` has its media types as pushed."""

    digest: str
    manifest: Manifest
    config: Config
    blobs: BlobStore

    def path(self, blob: Descriptor) -> Path:
        """The file of its config or of one of its layers, there as long as the image is."""
        return self.blobs.path(blob.digest)


class ImageStore:
    """Finds images of the local ECR; `account`, `region` and `address` are how it is named."""

    def __init__(
        self, images: ImageTable, blobs: BlobStore, *, account: str, region: str, address: str
    ) -> None:
        self._images = images
        self._blobs = blobs
        dns = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self._registries = {f"{account}.dkr.ecr.{region}.{dns}", address, _as_localhost(address)}

    def find(self, reference: Reference) -> StoredImage:
        """The image that a name means now.

        Raises `ImageMissingError`, also for what cannot be run: an index, or no image at all.
        """
        image = self._find(reference)
        if image.media_type not in MANIFESTS:
            raise ImageMissingError(str(reference))
        try:
            manifest = decode(image.manifest, Manifest, what="the manifest")
            path = self._blobs.path(manifest.config.digest)
            config = decode(path.read_bytes(), Config, what="the config")
        except (BuildError, OSError) as error:
            raise ImageMissingError(str(reference)) from error
        return StoredImage(digest=image.digest, manifest=manifest, config=config, blobs=self._blobs)

    def owns(self, reference: Reference) -> bool:
        """Whether an image of this name would lie here."""
        return reference.registry in self._registries

    def media_type(self, reference: Reference) -> str:
        """What was pushed under a name, index or manifest; raises `ImageMissingError`."""
        return self._find(reference).media_type

    def _find(self, reference: Reference) -> Image:
        name = reference.repository
        digest = reference.digest or self._images.tagged(name, reference.tag or _LATEST)
        image = self._images.find(name, digest) if self.owns(reference) and digest else None
        if image is None:
            raise ImageMissingError(str(reference))
        return image


def _as_localhost(address: str) -> str:
    return f"localhost:{address.rpartition(':')[2]}"
