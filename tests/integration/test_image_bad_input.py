"""Images where the surroundings fail: the reason is told, and the cache serves the next build."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from portside.archive.error import ArchiveError
from portside.errors import BuildError, RemoteError
from portside.image.base_image import Base, find_base
from portside.image.content import dependencies_layer
from portside.image.dependency import Wanted, find_uv
from portside.image.layout import Layout
from portside.image.oci import digest_of
from portside.image.platform import Platform
from portside.image.registry import Registry
from portside.image.transport import Transport
from tests.integration.image_parts import Asked, Says, ScriptedRegistry, free_port
from tests.integration.small_disk import mounted
from tests.unit.image.image_fakes import FakeInstaller, Workshop, elf, root_files, tar_of

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def leftovers(layout: Layout) -> list[Path]:
    return list(layout.folder.rglob(".*.partial"))


def test_without_a_network_the_dependencies_are_what_is_missing(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    index = f"http://127.0.0.1:{free_port()}/simple"
    requirements.write_text(f"--index-url {index}\nnobody-has-cached-this\n")
    layout = Layout(tmp_path / "image")
    wanted = Wanted(requirements=requirements, serving=(), platform=Platform.AMD64, python="3.11")

    with pytest.raises(BuildError, match="could not fetch the dependencies") as raised:
        dependencies_layer(wanted, installer=find_uv(), layout=layout, say=lambda _: None)

    assert raised.value.hint
    assert "run the same command again" in raised.value.hint
    assert leftovers(layout) == []


def test_a_full_disk_is_named_and_with_room_the_build_goes_on(tmp_path: Path) -> None:
    noise = os.urandom(3_000_000)
    with mounted(tmp_path / "disk", size="8m") as disk:
        workshop = Workshop(disk / "work", FakeInstaller(library=elf() + noise))
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(3_500_000))

        with pytest.raises(ArchiveError, match=f"the disk `{disk}` is full"):
            workshop.build()
        assert leftovers(workshop.layout) == []
        ballast.unlink()

        image = workshop.build()

        for blob in image.blobs:
            assert digest_of(image.open(blob).read_bytes()) == blob.digest


@pytest.mark.parametrize("failure", [{"hangs_up": True}, {"status": 500}])
def test_a_registry_that_fails_in_the_middle_of_a_base(
    tmp_path: Path, failure: dict[str, Any]
) -> None:
    tar = tar_of(root_files())
    layer = gzip.compress(tar + os.urandom(100_000))
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]},
        }
    ).encode()
    kinds = (("container.image.v1+json", config), ("image.rootfs.diff.tar.gzip", layer))
    settings, content = (
        {
            "mediaType": f"application/vnd.docker.{kind}",
            "size": len(data),
            "digest": digest_of(data),
        }
        for kind, data in kinds
    )
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": settings, "layers": [content]}
    ).encode()
    is_well = False

    def answer(asked: Asked) -> Says:
        if "/manifests/" in asked.path:
            return Says(body=manifest, headers={"Content-Type": MANIFEST})
        if asked.path.endswith(digest_of(config)):
            return Says(body=config)
        return Says(body=layer, **({} if is_well else failure))

    layout = Layout(tmp_path)
    with ScriptedRegistry(answer) as server:

        def base() -> Base:
            return find_base(
                f"{server.host}/base:1",
                Platform.AMD64,
                layout=layout,
                source=lambda host: Registry(Transport(host, sleep=lambda _: None)),
            )

        found = base()
        with pytest.raises((RemoteError, BuildError)) as raised:
            found.fetch(found.layers[0])
        assert raised.value.hint
        assert leftovers(layout) == []
        assert not layout.has(found.layers[0])

        is_well = True

        assert base().fetch(found.layers[0]).read_bytes() == layer
