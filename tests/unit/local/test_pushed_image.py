from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from portside.errors import BuildError
from portside.image.oci import Config, Execution
from portside.local.instance.image.pushed_image import PushedImage, PushedImages
from tests.unit.local.image_fakes import REPOSITORY, FakeStore, config


@pytest.fixture
def store(tmp_path: Path) -> FakeStore:
    return FakeStore(folder=tmp_path / "blobs")


@pytest.fixture
def images(tmp_path: Path, store: FakeStore) -> PushedImages:
    return PushedImages(tmp_path / "trees", store=store)


def found(images: PushedImages, name: str = "1") -> PushedImage:
    image = images.find(f"{REPOSITORY}{'@' if ':' in name else ':'}{name}")
    assert image is not None
    return image


async def test_its_tree_is_unpacked_once(images: PushedImages, store: FakeStore) -> None:
    store.push("1", {"app/x": "x"}, config=config())

    roots = await asyncio.gather(*(images.root(found(images)) for _ in range(3)))
    (roots[0] / "mark").touch()

    assert (roots[0] / "app/x").read_text() == "x"
    assert len(set(roots)) == 1
    assert (await images.root(found(images)) / "mark").exists()


async def test_what_engines_make_where_an_image_has_none_is_there(
    images: PushedImages, store: FakeStore
) -> None:
    files = {"etc/hosts/x": "a folder", "proc": "a file"}
    store.push("1", files, config=config(execution=Execution(working_dir="/srv/app")))

    root = await images.root(found(images))

    folders = ("proc", "sys", "dev", "tmp", "opt/ml/model", "srv/app")
    assert [name for name in folders if not (root / name).is_dir()] == []
    assert (root / "etc/hosts").read_text() == (root / "etc/resolv.conf").read_text() == ""


async def test_deleted_from_ecr_it_is_known_by_its_digest_as_long_as_its_tree_is_there(
    images: PushedImages, store: FakeStore
) -> None:
    image = store.push("1", {"x": "x"}, config=config())
    root = await images.root(found(images))
    store.delete(image)

    left = found(images, image.digest)

    assert images.find(f"{REPOSITORY}:1") is None
    assert left.config == image.config
    assert await images.root(left) == root
    await images.prune(in_use=set)
    assert images.find(f"{REPOSITORY}@{image.digest}") is None
    with pytest.raises(BuildError, match="was deleted from the local ECR"):
        await images.root(left)


async def test_what_an_endpoint_or_an_instance_needs_stays(
    images: PushedImages, store: FakeStore
) -> None:
    for tag in ("1", "2", "3"):
        store.push(tag, {"x": tag}, config=config())
    roots = [await images.root(found(images, tag)) for tag in ("1", "2", "3")]
    release = images.hold(found(images, "2"))
    images.hold(found(images, "2"))()

    await images.prune(in_use=lambda: {found(images, "1").digest, ""})
    assert [root.exists() for root in roots] == [True, True, False]

    release()
    release()
    await images.prune(in_use=set)
    assert [root.exists() for root in roots] == [False, False, False]


async def test_a_layer_that_is_broken_leaves_nothing(
    images: PushedImages, store: FakeStore, tmp_path: Path
) -> None:
    image = store.push("1", {"x": "x"}, config=config())
    image.path(image.manifest.layers[0]).write_bytes(b"broken")

    with pytest.raises(BuildError, match="Not a gzipped file"):
        await images.root(found(images))

    assert list((tmp_path / "trees").iterdir()) == []


@pytest.mark.parametrize(
    "image", [config(execution=Execution(working_dir="/a\0b")), config(execution=Execution())]
)
async def test_a_config_that_makes_no_sense_is_an_error_of_the_image_s(
    images: PushedImages, store: FakeStore, image: Config
) -> None:
    pushed = store.push("1", {"x": "x"}, config=image)
    if not (image.config and image.config.working_dir):
        store.images["1"] = replace(pushed, config=image)  # of no layers

    with pytest.raises(BuildError, match="could not unpack"):
        await images.root(found(images))


async def test_what_a_killed_life_left_is_removed(
    images: PushedImages, store: FakeStore, tmp_path: Path
) -> None:
    left = tmp_path / "trees" / ".abc.1234.partial" / "root"
    left.mkdir(parents=True)
    (left / "closed").mkdir(mode=0o500)

    images.clear_partial()

    assert list((tmp_path / "trees").iterdir()) == []


@pytest.mark.parametrize("name", ["", "x", "x:1", f"{REPOSITORY}:2", "a.b/c@sha256:12"])
def test_names_that_nobody_pushed(images: PushedImages, name: str) -> None:
    assert images.find(name) is None
