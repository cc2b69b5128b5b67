"""A manifest that is pushed, read: what it is, what it needs, how large the image is.

The bytes stay as they came, since their digest is the image's name. Taken are images and indexes
in Docker's and in OCI's spelling, as by ECR; schema 1 is not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from portside.errors import BuildError
from portside.image.oci import INDEXES, MANIFESTS, Index, Manifest, MediaType, decode, digest_of
from portside.local.ecr.refusal import invalid_parameter

_LAYERS: Final = 4200
"""Most layers of an image. Service quotas of Amazon ECR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedManifest:
    """What a manifest says of itself; digests in its own order, each once."""

    digest: str
    media_type: MediaType
    layers: tuple[str, ...]
    """Config and layers, which the repository must have."""
    children: tuple[str, ...]
    """Images, of an index."""
    size: int
    artifact_type: str | None


def read_manifest(data: bytes, *, media_type: str | None) -> PushedManifest:
    """Read what was pushed, under this media type if one was named; raises `Fault`."""
    document = _load(data)
    kind = _media_type(document, media_type)
    try:
        if kind in INDEXES:
            return _read_index(data, kind)
        return _read_image(data, kind)
    except BuildError as error:
        raise _invalid(f"Invalid image manifest: {error.message}") from error


def _load(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _invalid("Invalid JSON syntax") from error
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON syntax")
    return document


def _media_type(document: dict[str, Any], named: str | None) -> MediaType:
    """What the request says, what the manifest says, or what it looks like; they must agree."""
    own = document.get("mediaType")
    if own and named and own != named:
        raise _invalid(f"The manifest is '{own}' and was pushed as '{named}'")
    said = named or own or _likely(document)
    if said not in MANIFESTS | INDEXES:
        raise _invalid(f"Unsupported manifest media type '{said}'")
    return MediaType(said)


def _likely(document: dict[str, Any]) -> str:
    """Only OCI lets a manifest go without a media type."""
    return MediaType.OCI_INDEX if "manifests" in document else MediaType.OCI_MANIFEST


def _read_image(data: bytes, media_type: MediaType) -> PushedManifest:
    manifest = decode(data, Manifest, what="the manifest")
    if not manifest.layers:
        raise _invalid("Image has to have at least 1 layer")
    if len(manifest.layers) > _LAYERS:
        raise _invalid("Limit on number of layers per image exceeded")
    blobs = (manifest.config, *manifest.layers)
    return PushedManifest(
        digest=digest_of(data),
        media_type=media_type,
        layers=tuple(dict.fromkeys(blob.digest for blob in blobs)),
        children=(),
        size=sum(blob.size for blob in blobs),
        artifact_type=manifest.config.media_type,
    )


def _read_index(data: bytes, media_type: MediaType) -> PushedManifest:
    index = decode(data, Index, what="the index")
    return PushedManifest(
        digest=digest_of(data),
        media_type=media_type,
        layers=(),
        children=tuple(dict.fromkeys(child.digest for child in index.manifests)),
        size=len(data),
        artifact_type=None,
    )


def _invalid(constraint: str) -> Exception:
    return invalid_parameter("ImageManifest", constraint)
