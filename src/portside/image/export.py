"""An image as files: an OCI layout for podman, skopeo and others, or a tar for `docker load`.

Both are made beside their final names and renamed when whole. An OCI layout has OCI's manifest, so
its digest is another one than SageMaker's; the layers are the same bytes.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from enum import StrEnum
from pathlib import Path

from portside.archive.disk import writing
from portside.archive.partial import make_file, partial_beside
from portside.errors import BuildError
from portside.image.build import Image
from portside.image.oci import (
    Descriptor,
    Index,
    IndexPlatform,
    MediaType,
    as_oci,
    decode,
    digest_of,
    encode,
)

_LAYOUT_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class Format(StrEnum):
    """What the files are to be."""

    OCI = "oci"
    DOCKER = "docker"


def export(image: Image, path: Path, form: Format) -> str:
    """Write the image to `path`; the digest of the manifest that stands there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form is Format.OCI:
        return _write_layout(image, path)
    return _write_archive(image, path)


def _write_layout(image: Image, folder: Path) -> str:
    if folder.exists() and not (folder / "oci-layout").is_file() and not _is_empty(folder):
        raise BuildError(
            f"`{folder}` is there already, and is not an OCI layout",
            hint="name a new folder with `--output`",
        )
    if (held := _held_images(folder)) > 1:
        raise BuildError(
            f"`{folder}` holds {held} images, and would hold this one alone",
            hint="name a new folder with `--output`",
        )
    manifest = encode(as_oci(image.value))
    with writing(folder), partial_beside(folder, Path.mkdir) as partial:
        partial.chmod(0o755)
        blobs = partial / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for blob in image.blobs:
            shutil.copyfile(image.open(blob), blobs / _hex(blob.digest))
        (blobs / _hex(digest_of(manifest))).write_bytes(manifest)
        index = Index(
            schema_version=2,
            media_type=MediaType.OCI_INDEX,
            manifests=(
                Descriptor(
                    media_type=MediaType.OCI_MANIFEST,
                    size=len(manifest),
                    digest=digest_of(manifest),
                    platform=IndexPlatform(architecture=image.platform.architecture, os="linux"),
                ),
            ),
        )
        (partial / "index.json").write_bytes(encode(index))
        (partial / "oci-layout").write_bytes(_LAYOUT_VERSION)
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    return digest_of(manifest)


def _held_images(folder: Path) -> int:
    """How many images, or indexes of images, an OCI layout names."""
    try:
        listed = (folder / "index.json").read_bytes()
    except FileNotFoundError:
        return 0
    return len(decode(listed, Index, what=f"`{folder / 'index.json'}`").manifests)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _write_archive(image: Image, file: Path) -> str:
    """As `docker save` writes it: the config and the layers by their digests, and who is who."""
    names = [f"{_hex(layer.digest)}.tar.gz" for layer in image.value.layers]
    config = f"{_hex(image.config.digest)}.json"
    listing = [{"Config": config, "RepoTags": [_tag(image)], "Layers": names}]
    with writing(file), partial_beside(file, make_file) as partial:
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
            for layer, name in dict(zip(image.value.layers, names, strict=True)).items():
                _add(tar, name, image.open(layer))
            _add(tar, config, image.open(image.config))
            content = json.dumps(listing).encode()
            header = tarfile.TarInfo("manifest.json")
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
        partial.chmod(0o644)
        partial.replace(file)
    return image.digest


def _add(tar: tarfile.TarFile, name: str, source: Path) -> None:
    header = tarfile.TarInfo(name)
    header.size = source.stat().st_size
    with source.open("rb") as content:
        tar.addfile(header, content)


def _tag(image: Image) -> str:
    """A name without a registry, and with the digest: an endpoint's name may have capitals."""
    return f"{image.name.lower()}:{_hex(image.digest)[:12]}"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
