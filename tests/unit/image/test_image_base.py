"""Bases: of three places, narrowed to a platform, told in Docker's words, not believed."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from portside.errors import BuildError
from portside.image.base_content import look_into
from portside.image.base_image import Base, find_base
from portside.image.layout import Layout
from portside.image.platform import Platform
from tests.unit.image.image_fakes import (
    FakeSource,
    OciFolder,
    base_tar,
    elf,
    no_registry,
    root_files,
    tar_of,
)

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
NAME = "registry.example/team/python"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


@pytest.fixture
def oci(tmp_path: Path) -> OciFolder:
    return OciFolder(tmp_path / "oci")


def find(name: Path | str, layout: Layout, platform: Platform = Platform.AMD64) -> Base:
    return find_base(str(name), platform, layout=layout, source=no_registry)


def test_an_index_is_narrowed_to_the_platform(oci: OciFolder, layout: Layout) -> None:
    images = [oci.image(platform) for platform in Platform]
    attestation = {**oci.image(), "platform": {"architecture": "unknown", "os": "unknown"}}
    folder = oci.index(*images, attestation)

    base = find(folder, layout, Platform.ARM64)

    assert base.digest == images[1]["digest"]
    assert base.config.architecture == "arm64"
    assert look_into(base, Platform.ARM64, layout=layout).python.path == "/usr/bin/python3.11"


@pytest.mark.parametrize("spelling", ["oci", "docker"])
def test_layers_get_dockers_type_and_keep_their_bytes(
    oci: OciFolder, layout: Layout, spelling: str
) -> None:
    base = find(oci.index(oci.image(spelling=spelling)), layout)

    (layer,) = base.layers
    assert layer.media_type == DOCKER_LAYER
    assert base.fetch(layer).name == layer.digest.removeprefix("sha256:")


def test_a_layer_that_was_damaged_where_it_lies_is_not_shipped(
    oci: OciFolder, layout: Layout
) -> None:
    base = find(oci.index(oci.image()), layout)
    (layer,) = base.layers
    base.fetch(layer).write_bytes(bytes(layer.size))

    with pytest.raises(BuildError, match="something else than") as raised:
        base.fetch(layer)

    assert raised.value.hint


def test_an_index_without_the_platform_says_what_there_is(oci: OciFolder, layout: Layout) -> None:
    other = {**oci.image(), "platform": {"architecture": "riscv64", "os": "linux"}}
    folder = oci.index(oci.image(), other)

    with pytest.raises(BuildError, match=r"not there for linux/arm64.*linux/amd64") as raised:
        find(folder, layout, Platform.ARM64)

    assert raised.value.hint


def test_an_image_for_another_platform_is_refused(oci: OciFolder, layout: Layout) -> None:
    folder = oci.index(oci.image(Platform.ARM64))

    with pytest.raises(BuildError, match="is for linux/arm64 and not for linux/amd64"):
        find(folder, layout)


def test_a_layer_that_is_no_gzip_is_refused(oci: OciFolder, layout: Layout) -> None:
    zstd = "application/vnd.oci.image.layer.v1.tar+zstd"

    with pytest.raises(BuildError, match=r"tar\+zstd") as raised:
        find(oci.index(oci.image(layer_type=zstd)), layout)

    assert raised.value.hint
    assert "skopeo copy" in raised.value.hint


def test_manifest_and_config_must_agree(oci: OciFolder, layout: Layout) -> None:
    folder = oci.index(oci.image(rootfs={"type": "layers", "diff_ids": []}))

    with pytest.raises(BuildError, match="disagree about the number of layers"):
        find(folder, layout)


def test_a_changed_blob_of_a_layout_is_noticed(oci: OciFolder, layout: Layout) -> None:
    image = oci.image()
    folder = oci.index(image)
    path = folder / "blobs" / "sha256" / image["digest"].removeprefix("sha256:")
    path.write_bytes(path.read_bytes() + b" ")

    with pytest.raises(BuildError, match="gave something else"):
        find(folder, layout)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schemaVersion": 2}', '{"manifests": [{"digest": "md5:1"}]}', "\xff"]
)
def test_a_broken_index_is_a_clear_error(oci: OciFolder, layout: Layout, text: str) -> None:
    folder = oci.index()
    (folder / "index.json").write_text(text, encoding="latin-1")

    with pytest.raises(BuildError, match=r"index.json` is not what it should be"):
        find(folder, layout)


def test_a_root_file_system_becomes_one_layer(tmp_path: Path, layout: Layout) -> None:
    base = find(base_tar(tmp_path), layout)
    again = find(base_tar(tmp_path / "moved"), layout)

    assert len(base.layers) == 1
    assert base.layers == again.layers
    assert base.config.rootfs == again.config.rootfs


def test_the_python_beside_the_systems_is_taken(tmp_path: Path, layout: Layout) -> None:
    beside = ("usr/local/bin/python3.9", "usr/local/bin/python3.12", "usr/bin/python3.13")
    files = {**root_files(), "usr/bin/python3.12-config": b"", **dict.fromkeys(beside, elf())}

    found = look_into(find(base_tar(tmp_path, files), layout), Platform.AMD64, layout=layout)

    assert (found.python.version, found.python.path) == ("3.12", "/usr/local/bin/python3.12")
    assert "libstdc++.so.6" in found.libraries


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"etc/passwd": b""}, "has no Python"),
        ({"usr/bin/python3.9": elf()}, "has no Python 3.11 or later"),
        ({"lib/ld-musl-x86_64.so.1": b"", "usr/bin/python3.11": elf()}, "built on musl"),
        ({"usr/bin/python3.11": elf(Platform.ARM64)}, "is not for linux/amd64"),
    ],
)
def test_a_base_that_cannot_serve_is_refused(
    tmp_path: Path, layout: Layout, files: dict[str, bytes], reason: str
) -> None:
    base = find(base_tar(tmp_path, files), layout)

    with pytest.raises(BuildError, match=reason) as raised:
        look_into(base, Platform.AMD64, layout=layout)

    assert raised.value.hint


def test_what_is_no_tar_is_refused(tmp_path: Path, layout: Layout) -> None:
    (tmp_path / "base.tar").write_bytes(b"no tar at all" * 1000)

    with pytest.raises(BuildError, match="is not a gzipped tar"):
        look_into(find(tmp_path / "base.tar", layout), Platform.AMD64, layout=layout)


def test_a_tar_with_headers_that_make_no_sense_is_refused(tmp_path: Path, layout: Layout) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2
    (tmp_path / "base.tar").write_bytes((header.tobuf() + b"y".ljust(512, b"\0")) * 3000)

    with pytest.raises(BuildError, match="is not a gzipped tar"):
        look_into(find(tmp_path / "base.tar", layout), Platform.AMD64, layout=layout)


def test_a_path_that_is_not_there_is_not_asked_of_a_registry(layout: Layout) -> None:
    with pytest.raises(BuildError, match=r"there is no base `./nothing`"):
        find("./nothing", layout)


def test_a_registrys_layers_come_once(oci: OciFolder, layout: Layout) -> None:
    source = FakeSource(oci, tags={"1": oci.image()})

    def pulled() -> Base:
        return find_base(f"{NAME}:1", Platform.AMD64, layout=layout, source=lambda _: source)

    first = look_into(pulled(), Platform.AMD64, layout=layout)
    blobs = [name for name in source.asked if name.startswith("sha256:")]
    second = look_into(pulled(), Platform.AMD64, layout=layout)

    assert first == second
    assert len(blobs) == 2  # config and layer
    assert [name for name in source.asked if name.startswith("sha256:")] == blobs
    assert str(pulled().origin) == f"{NAME}:1"


def test_a_base_by_its_digest_is_asked_for_once(oci: OciFolder, layout: Layout) -> None:
    source = FakeSource(oci, tags={})
    name = f"{NAME}@{oci.image()['digest']}"

    def pulled() -> Base:
        return find_base(name, Platform.AMD64, layout=layout, source=lambda _: source)

    first = pulled()
    source.asked.clear()

    assert pulled().digest == first.digest
    assert source.asked == []


def test_a_registry_that_gives_another_manifest_is_caught(oci: OciFolder, layout: Layout) -> None:
    asked = oci.image(Platform.AMD64)["digest"]
    source = FakeSource(oci, tags={asked: oci.image(Platform.ARM64)})

    with pytest.raises(BuildError, match="gave something else"):
        find_base(f"{NAME}@{asked}", Platform.AMD64, layout=layout, source=lambda _: source)


def test_a_config_of_gigabytes_is_not_read(oci: OciFolder, layout: Layout) -> None:
    image = oci.image()
    path = oci.folder / "blobs" / "sha256" / image["digest"].removeprefix("sha256:")
    manifest = json.loads(path.read_bytes())
    manifest["config"]["size"] = 5_000_000_000
    changed = {"mediaType": image["mediaType"], **oci.add(json.dumps(manifest).encode())}
    source = FakeSource(oci, tags={"1": changed})

    with pytest.raises(BuildError, match="has 5000000000 bytes"):
        find_base(f"{NAME}:1", Platform.AMD64, layout=layout, source=lambda _: source)


def test_an_attachment_is_not_an_image(oci: OciFolder, layout: Layout) -> None:
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.other+json"}
    source = FakeSource(oci, tags={"1": oci.add(json.dumps(manifest).encode())})

    with pytest.raises(BuildError, match="which is not an image"):
        find_base(f"{NAME}:1", Platform.AMD64, layout=layout, source=lambda _: source)


def test_a_tar_within_a_tar_is_only_looked_at(tmp_path: Path, layout: Layout) -> None:
    files = {**root_files(), "inner.tar": tar_of({"../escape": b"x"})}

    assert look_into(find(base_tar(tmp_path, files), layout), Platform.AMD64, layout=layout)
    assert not (tmp_path / "escape").exists()
