"""The image that another is built on: from a folder, a tar or a registry, for one platform.

    FOLDER   an OCI layout          blobs are read where they lie
    FILE     a root file system     becomes the one layer of an image without settings
    NAME     in a registry          manifest and config now, layers when somebody needs them

An index is narrowed to the platform, OCI's types become Docker's; the layers stay the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from portside.errors import BuildError
from portside.image.layer import gzip_tar
from portside.image.layout import Layout, key_of
from portside.image.oci import (
    INDEXES,
    LAYERS,
    MANIFEST_BYTES,
    MANIFESTS,
    Config,
    Descriptor,
    Index,
    Manifest,
    MediaType,
    RootFs,
    as_docker_layer,
    decode,
    digest_of,
)
from portside.image.platform import Platform
from portside.image.reference import Reference, parse

DEFAULT: Final = "public.ecr.aws/docker/library/python:3.12-slim"
"""Debian with Python, 45 MB; at AWS, where nobody is counted as at Docker Hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An image to build on; `fetch` brings a layer's blob to this machine, if it is not here."""

    name: str
    digest: str
    config: Config
    layers: tuple[Descriptor, ...]
    fetch: Callable[[Descriptor], Path]
    origin: Reference | None = None
    """Where a registry may take the layers from by itself."""


class Source(Protocol):
    """A registry to pull from; see `registry.Registry`."""

    def manifest(self, repository: str, reference: str) -> tuple[str, bytes]:
        """The media type and the bytes of a manifest or an index; `reference` a tag or digest."""

    def blob(self, repository: str, blob: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob, not checked yet."""


def find_base(
    name: str, platform: Platform, *, layout: Layout, source: Callable[[str], Source]
) -> Base:
    """The base of a name: a folder or a file that is there, else one in a registry.

    `source` gives the registry of a host. Raises `BuildError` and `RemoteError`.
    """
    path = Path(name)
    if path.is_dir():
        return _from_layout(path, platform)
    if path.is_file():
        return _from_tar(path, platform, layout)
    if name.startswith((".", "/", "~")) or name.endswith(".tar"):
        raise BuildError(
            f"there is no base `{name}`",
            hint="name a folder with an OCI layout, a tar of a root file system or an image, as "
            f"`--base {DEFAULT}`",
        )
    reference = parse(name)
    return _from_registry(reference, platform, layout, source(reference.registry))


# --- Three places ---------------------------------------------------------------


def _from_registry(
    reference: Reference, platform: Platform, layout: Layout, source: Source
) -> Base:
    name, repository = str(reference), reference.repository

    def get(wanted: str) -> tuple[str, bytes]:
        """Under a digest there is one answer for ever: the registry is asked for it once."""
        key = key_of("manifest", wanted)
        known = layout.recall(key, Descriptor)
        if known is not None and layout.has(known):
            return known.media_type, layout.path(known.digest).read_bytes()
        media_type, data = source.manifest(repository, wanted)
        _check_digest(data, wanted, name)
        if wanted.startswith("sha256:"):
            layout.remember(key, layout.write(data, media_type=media_type))
        return media_type, data

    def fetch(blob: Descriptor) -> Path:
        if layout.has(blob):
            return layout.path(blob.digest)
        return layout.receive(blob, source.blob(repository, blob), source=name)

    media_type, data = get(reference.digest or reference.tag or "latest")
    data = _narrowed(media_type, data, platform, name=name, get=lambda digest: get(digest)[1])

    def read(blob: Descriptor) -> bytes:
        _check_small(blob, name)
        return fetch(blob).read_bytes()

    return _assembled(data, platform, name=name, read=read, fetch=fetch, origin=reference)


def _from_layout(folder: Path, platform: Platform) -> Base:
    name = folder.resolve().name  # not the path: it becomes a label, the same on every machine

    def fetch(blob: Descriptor) -> Path:
        path = folder / "blobs" / "sha256" / blob.digest.removeprefix("sha256:")
        if not path.is_file() or path.stat().st_size != blob.size:
            raise BuildError(f"the OCI layout `{name}` lacks the blob `{blob.digest}`")
        with path.open("rb") as content:
            if f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}" != blob.digest:
                raise _other_content(blob.digest, name)
        return path

    def read_digest(digest: str) -> bytes:
        path = folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
        data = _read_small(path, name)
        _check_digest(data, digest, name)
        return data

    index = _read_small(folder / "index.json", name)
    found = decode(index, Index, what=f"`{folder / 'index.json'}`").manifests
    if len(found) == 1:  # it names one image, or one index of images
        index, media_type = read_digest(found[0].digest), found[0].media_type
    else:
        media_type = MediaType.OCI_INDEX
    data = _narrowed(media_type, index, platform, name=name, get=read_digest)
    return _assembled(
        data, platform, name=name, read=lambda blob: read_digest(blob.digest), fetch=fetch
    )


def _from_tar(tar: Path, platform: Platform, layout: Layout) -> Base:
    """The tar's own bytes, gzipped: what is in it is not unpacked here."""
    with tar.open("rb") as file:
        diff_id = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        file.seek(0)
        blob = gzip_tar(file, diff_id=diff_id, layout=layout)
    return Base(
        name=tar.name,
        digest=diff_id,
        config=Config(
            architecture=platform.architecture, os="linux", rootfs=RootFs(diff_ids=(diff_id,))
        ),
        layers=(blob,),
        fetch=lambda wanted: layout.path(wanted.digest),
    )


# --- One image ------------------------------------------------------------------


def _narrowed(
    media_type: str, data: bytes, platform: Platform, *, name: str, get: Callable[[str], bytes]
) -> bytes:
    """The manifest for the platform: of an index the one that is for it."""
    if media_type in MANIFESTS:
        return data
    if media_type not in INDEXES:
        raise BuildError(
            f"the base `{name}` is `{media_type}`, which is not an image",
            hint="name an image with a manifest of Docker's schema 2 or OCI's",
        )
    manifests = decode(data, Index, what=f"the index of `{name}`").manifests
    offered = {f"{m.platform.os}/{m.platform.architecture}": m for m in manifests if m.platform}
    if platform in offered:
        return get(offered[platform].digest)
    if len(manifests) == 1 and not offered:
        return get(manifests[0].digest)
    known = sorted(offered.keys() - {"unknown/unknown"})  # attestations of buildkit
    raise BuildError(
        f"the base `{name}` is not there for {platform}, only for: {', '.join(known)}",
        hint="choose one of these with `--platform`, or another `--base`",
    )


def _assembled(
    data: bytes,
    platform: Platform,
    *,
    name: str,
    read: Callable[[Descriptor], bytes],
    fetch: Callable[[Descriptor], Path],
    origin: Reference | None = None,
) -> Base:
    manifest = decode(data, Manifest, what=f"the manifest of `{name}`")
    if len(manifest.layers) > LAYERS:
        raise BuildError(f"the base `{name}` has over {LAYERS} layers")
    config_bytes = read(manifest.config)
    _check_digest(config_bytes, manifest.config.digest, name)
    config = decode(config_bytes, Config, what=f"the config of `{name}`")
    if (config.os, config.architecture) != ("linux", platform.architecture):
        raise BuildError(
            f"the base `{name}` is for {config.os}/{config.architecture} and not for {platform}",
            hint=f"add `--platform {config.os}/{config.architecture}`, or choose another `--base`",
        )
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise BuildError(f"manifest and config of `{name}` disagree about the number of layers")
    return Base(
        name=name,
        digest=digest_of(data),
        config=config,
        layers=tuple(as_docker_layer(layer, image=name) for layer in manifest.layers),
        fetch=fetch,
        origin=origin,
    )


def _check_digest(data: bytes, wanted: str, name: str) -> None:
    if wanted.startswith("sha256:") and digest_of(data) != wanted:
        raise _other_content(wanted, name)


def _other_content(digest: str, name: str) -> BuildError:
    return BuildError(
        f"`{name}` gave something else than `{digest}` under this digest",
        hint="fetch or make the base again; if it stays so, what it comes from is broken",
    )


def _check_small(blob: Descriptor, name: str) -> None:
    if blob.size > MANIFEST_BYTES:
        raise BuildError(f"the config of `{name}` has {blob.size} bytes")


def _read_small(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MANIFEST_BYTES + 1)
    except OSError as error:
        raise BuildError(
            f"`{name}` is not a whole OCI layout: cannot read `{path}`: {error.strerror}",
            hint="make one: `skopeo copy docker://IMAGE oci:FOLDER`",
        ) from error
    if len(data) > MANIFEST_BYTES:
        raise BuildError(f"`{path}` has over {MANIFEST_BYTES} bytes")
    return data
