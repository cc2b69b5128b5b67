"""What images are made of, as values: descriptor, manifest, index, config; to and from JSON.

    manifest ──▶ config      who runs what, and the digests of the unpacked layers
             └─▶ layer …     a gzipped tar each

There are two spellings of one thing, Docker's and OCI's: the same fields, other media types.
Portside writes Docker's (Image Manifest V2, Schema 2), because SageMaker refuses OCI manifests
(aws/amazon-sagemaker-feedback#180), and reads both. Sources: the OCI image specification 1.1,
docs.docker.com/registry/spec/manifest-v2-2.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec

from portside.errors import BuildError

MANIFEST_BYTES: Final = 4 * 1024 * 1024
"""Most of a manifest, index or config: registries need take no more (distribution spec 1.1)."""

LAYERS: Final = 127
"""Most layers of an image: what docker's storage drivers stack."""

EPOCH: Final = "1970-01-01T00:00:00Z"
"""When everything was made: a clock would give other bytes each time."""


class MediaType(StrEnum):
    """The types of blobs, in both spellings."""

    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


INDEXES: Final = frozenset({MediaType.DOCKER_INDEX, MediaType.OCI_INDEX})
MANIFESTS: Final = frozenset({MediaType.DOCKER_MANIFEST, MediaType.OCI_MANIFEST})
LAYER_TYPES: Final = frozenset({MediaType.DOCKER_LAYER, MediaType.OCI_LAYER})

_OCI_NAMES: Final = {
    MediaType.DOCKER_MANIFEST: MediaType.OCI_MANIFEST,
    MediaType.DOCKER_CONFIG: MediaType.OCI_CONFIG,
    MediaType.DOCKER_LAYER: MediaType.OCI_LAYER,
}

Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
"""Of other algorithms (SHA-512 is allowed) no registry makes use."""

Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A value as it stands in a manifest."""


class IndexPlatform(Wire, frozen=True, kw_only=True):
    """For what a manifest of an index is."""

    architecture: str
    os: str


class Descriptor(Wire, frozen=True, kw_only=True):
    """A blob's type, size in bytes and digest."""

    media_type: str
    size: Size
    digest: Digest
    platform: IndexPlatform | None = None


class Manifest(Wire, frozen=True, kw_only=True):
    """An image of one platform."""

    schema_version: int
    media_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(Wire, frozen=True, kw_only=True):
    """Manifests of several platforms."""

    schema_version: int
    media_type: str = ""
    manifests: tuple[Descriptor, ...]


class Execution(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """How containers are run; the only part of an image whose keys have capitals."""

    user: str = ""
    exposed_ports: dict[str, dict[str, str]] | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of the unpacked layers, lowest first."""

    type: str = "layers"
    diff_ids: tuple[Digest, ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a layer came to be, for people."""

    created: str | None = None
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """An image's config; what Docker keeps there beside is not for other machines."""

    architecture: str
    os: str
    created: str | None = EPOCH
    config: Execution | None = None
    rootfs: RootFs
    history: tuple[History, ...] | None = None


_Value = TypeVar("_Value")


def decode(data: bytes, kind: type[_Value], *, what: str) -> _Value:
    """Read JSON that others wrote; raises `BuildError` with what is wrong about `what`."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BuildError(f"{what} is not what it should be: {error}") from error


def encode(value: object) -> bytes:
    """JSON whose bytes depend on the value alone."""
    return msgspec.json.encode(value, order="deterministic")


def digest_of(data: bytes) -> str:
    """`sha256:` and the digest in hex."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def as_oci(manifest: Manifest) -> Manifest:
    """The same image in OCI's spelling: other types, the same blobs."""
    return Manifest(
        schema_version=2,
        media_type=MediaType.OCI_MANIFEST,
        config=_retyped(manifest.config),
        layers=tuple(map(_retyped, manifest.layers)),
    )


def _retyped(blob: Descriptor) -> Descriptor:
    return Descriptor(
        media_type=_OCI_NAMES[MediaType(blob.media_type)], size=blob.size, digest=blob.digest
    )


def as_docker_layer(blob: Descriptor, *, image: str) -> Descriptor:
    """A base's layer under Docker's name; raises `BuildError` if it is not a gzipped tar."""
    if blob.media_type not in LAYER_TYPES:
        raise BuildError(
            f"a layer of the base `{image}` is `{blob.media_type}`, and SageMaker takes gzip alone",
            hint=f"convert it: `skopeo copy --dest-compress-format gzip --format v2s2 "
            f"docker://{image} oci:base`, then `--base base`",
        )
    return Descriptor(media_type=MediaType.DOCKER_LAYER, size=blob.size, digest=blob.digest)
