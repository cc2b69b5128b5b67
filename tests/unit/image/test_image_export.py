"""Images as files, the tree of sizes, the bill of materials."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from portside.artifact.quantity import size
from portside.errors import BuildError
from portside.image.build import Image
from portside.image.explain import as_value, tree
from portside.image.export import Format, export
from portside.image.sbom import bill
from tests.unit.image.image_fakes import Workshop


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Workshop(tmp_path / "workshop").build()


def test_an_oci_layout_has_ocis_types_and_the_same_layers(image: Image, tmp_path: Path) -> None:
    folder = tmp_path / "oci"

    digest = export(image, folder, Format.OCI)

    index = json.loads((folder / "index.json").read_text())
    assert index["manifests"][0]["digest"] == digest
    blob = folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
    manifest = json.loads(blob.read_bytes())
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert [layer["digest"] for layer in manifest["layers"]] == [
        layer.blob.digest for layer in image.layers
    ]
    for path in (folder / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_an_oci_layout_is_replaced_and_nothing_else_is(image: Image, tmp_path: Path) -> None:
    folder = tmp_path / "oci"
    export(image, folder, Format.OCI)
    (folder / "old").touch()
    export(image, folder, Format.OCI)
    assert not (folder / "old").exists()

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    with pytest.raises(BuildError, match="is not an OCI layout"):
        export(image, mine, Format.OCI)
    assert (mine / "thesis.txt").exists()


def test_an_oci_layout_of_several_images_is_left_alone(image: Image, tmp_path: Path) -> None:
    folder = tmp_path / "oci"
    export(image, folder, Format.OCI)
    index = json.loads((folder / "index.json").read_bytes())
    index["manifests"] *= 2
    (folder / "index.json").write_text(json.dumps(index))

    with pytest.raises(BuildError, match="holds 2 images"):
        export(image, folder, Format.OCI)

    assert len(json.loads((folder / "index.json").read_bytes())["manifests"]) == 2


def test_a_docker_archive_names_config_and_layers(image: Image, tmp_path: Path) -> None:
    file = tmp_path / "image.tar"

    assert export(image, file, Format.DOCKER) == image.digest

    with tarfile.open(file) as tar:
        listing = tar.extractfile("manifest.json")
        assert listing
        (entry,) = json.loads(listing.read())
        names = tar.getnames()
    assert entry["RepoTags"] == [f"ner:{image.digest[7:19]}"]
    assert {entry["Config"], *entry["Layers"]} <= set(names)
    first = file.read_bytes()
    export(image, file, Format.DOCKER)
    assert file.read_bytes() == first


def test_the_tree_shows_each_layer_and_what_is_in_it(image: Image) -> None:
    lines = list(tree(image, size=size))

    assert lines[0].startswith("ner for linux/amd64: ")
    assert "of the 10.7 GB that SageMaker starts" in lines[0]
    heads = [line.split()[1] for line in lines if line.startswith(("├", "└"))]
    assert heads == ["base", "dependencies", "runtime", "code"]
    assert any("lib-one 1.5" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_the_value_for_programs_adds_up(image: Image) -> None:
    value = as_value(image)

    assert value["digest"] == image.digest
    assert value["size_bytes"] == sum(layer["size_bytes"] for layer in value["layers"])
    assert json.loads(json.dumps(value)) == value


def test_the_bill_names_what_is_installed(image: Image) -> None:
    document = json.loads(bill(image))

    packages = {package["name"]: package for package in document["packages"]}
    assert document["spdxVersion"] == "SPDX-2.3"
    assert packages["lib-one"]["versionInfo"] == "1.5"
    assert packages["lib-one"]["licenseDeclared"] == "MIT"
    (purl,) = packages["lib-one"]["externalRefs"]
    assert purl["referenceLocator"] == "pkg:pypi/lib-one@1.5"
    assert "portside" in packages
    named = {package["SPDXID"] for package in document["packages"]} | {"SPDXRef-DOCUMENT"}
    for relation in document["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= named
    assert bill(image) == bill(image)
