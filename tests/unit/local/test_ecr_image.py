"""Images by ECR's own operations: tags, digests, what they need, and what goes with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from portside.image.reference import Reference, parse
from portside.local.instance.runtime_image import ImageMissingError
from tests.unit.local.ecr_fakes import ADDRESS, CONFIG, OCI, Ecr, digest_of, manifest, open_ecr
from tests.unit.local.state_fakes import ACCOUNT, REGION, FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REGISTRY = f"the registry with id '{ACCOUNT}'"


@pytest.fixture
async def ecr(tmp_path: Path) -> AsyncIterator[Ecr]:
    opened = open_ecr(tmp_path / "images", FakeClock())
    await opened("CreateRepository", repositoryName="app")
    yield opened
    opened.registry.close()


async def refused_put(ecr: Ecr, text: str, **more: Any) -> tuple[str, str]:
    fault = await ecr.refused("PutImage", repositoryName="app", imageManifest=text, **more)
    return fault.code, str(fault.message)


async def test_an_image_is_found_by_tag_digest_and_both(ecr: Ecr) -> None:
    digest = await ecr.push_image(b"layer", tag="1")
    for asked in (
        {"imageTag": "1"},
        {"imageDigest": digest},
        {"imageTag": "1", "imageDigest": digest},
    ):
        got = await ecr("BatchGetImage", repositoryName="app", imageIds=[asked])
        assert got["failures"] == []
        assert got["images"][0]["imageManifest"] == manifest(b"layer")
        assert got["images"][0]["imageId"]["imageDigest"] == digest
    described = await ecr("DescribeImages", repositoryName="app")
    assert described["imageDetails"][0]["imageSizeInBytes"] == len(CONFIG) + len(b"layer")
    assert described["imageDetails"][0]["imageTags"] == ["1"]


async def test_a_tag_moves_unless_it_is_immutable(ecr: Ecr) -> None:
    first = await ecr.push_image(b"one", tag="1")
    second = await ecr.push_image(b"two", tag="1")
    ids = (await ecr("ListImages", repositoryName="app"))["imageIds"]
    assert {"imageDigest": second, "imageTag": "1"} in ids
    assert {"imageDigest": first} in ids

    await ecr(
        "PutImageTagMutability",
        repositoryName="app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "latest*"}],
    )
    await ecr.push_image(b"one", tag="latest-a")
    await ecr.push_image(b"two", tag="latest-a")
    assert await refused_put(ecr, manifest(b"one"), imageTag="1") == (
        "ImageTagAlreadyExistsException",
        (
            "The image tag '1' already exists in the 'app' repository and cannot be overwritten"
            " because the tag is immutable."
        ),
    )


async def test_an_image_is_put_once(ecr: Ecr) -> None:
    digest = await ecr.push_image(b"one", tag="1")
    assert await refused_put(ecr, manifest(b"one"), imageTag="1") == (
        "ImageAlreadyExistsException",
        (
            f"Image with digest '{digest}' and tag '1' already exists in the repository with name"
            f" 'app' in registry with id '{ACCOUNT}'"
        ),
    )
    assert (await refused_put(ecr, manifest(b"one")))[0] == "ImageAlreadyExistsException"


async def test_what_is_not_taken(ecr: Ecr) -> None:
    missing = digest_of(b"missing")
    await ecr.push_layer(CONFIG)
    assert await refused_put(ecr, manifest(b"missing")) == (
        "LayersNotFoundException",
        (
            f"Layers with digests '[{missing}]' required for pushing image into repository with"
            f" name 'app' in {REGISTRY} do not exist"
        ),
    )
    wrong = digest_of(b"wrong")
    assert await refused_put(ecr, manifest(b"x"), imageDigest=wrong) == (
        "ImageDigestDoesNotMatchException",
        (
            f"The image with digest '{wrong}' in repository 'app' and registry ID '{ACCOUNT}' does"
            " not match the image digest that Amazon ECR has calculated."
        ),
    )
    index = {"mediaType": "application/vnd.oci.image.index.v1+json", "size": 1, "digest": missing}
    text = json.dumps({"schemaVersion": 2, "mediaType": index["mediaType"], "manifests": [index]})
    assert (await refused_put(ecr, text))[0] == "ReferencedImagesNotFoundException"
    for broken in ("{", "[]", "null", '{"schemaVersion":1}', manifest(), "[" * 5000):
        code, message = await refused_put(ecr, broken)
        assert code == "InvalidParameterException"
        assert message.startswith("Invalid parameter at 'ImageManifest' failed to satisfy")
    traversal = manifest(b"x").replace(digest_of(b"x"), "sha256:../../../../etc/passwd")
    assert (await refused_put(ecr, traversal))[0] == "InvalidParameterException"


async def test_a_layer_goes_with_the_last_image_that_has_it(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="other")
    first = await ecr.push_image(b"shared", b"mine", tag="1")
    await ecr.push_image(b"shared", tag="2")
    await ecr.push_image(b"mine", tag="1", name="other")

    gone = await ecr("BatchDeleteImage", repositoryName="app", imageIds=[{"imageDigest": first}])
    assert gone["imageIds"] == [{"imageDigest": first, "imageTag": "1"}]
    assert ecr.blobs() == {digest_of(data) for data in (CONFIG, b"shared", b"mine")}
    checked = await ecr(
        "BatchCheckLayerAvailability", repositoryName="app", layerDigests=[digest_of(b"mine")]
    )
    assert checked["layers"] == []

    await ecr("DeleteRepository", repositoryName="other", force=True)
    assert ecr.blobs() == {digest_of(data) for data in (CONFIG, b"shared")}


async def test_tags_are_deleted_one_by_one_and_the_last_takes_the_image(ecr: Ecr) -> None:
    digest = await ecr.push_image(b"one", tag="1")
    await ecr("PutImage", repositoryName="app", imageManifest=manifest(b"one"), imageTag="2")
    for tag in ("1", "2"):
        asked = {"repositoryName": "app", "imageIds": [{"imageTag": tag}]}
        gone = await ecr("BatchDeleteImage", **asked)
        assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": tag}]
    assert ecr.blobs() == set()
    failed = await ecr("BatchDeleteImage", repositoryName="app", imageIds=[{"imageTag": "1"}, {}])
    assert [failure["failureCode"] for failure in failed["failures"]] == [
        "ImageNotFound",
        "MissingDigestAndTag",
    ]


async def test_what_an_index_names_stays_as_long_as_it(ecr: Ecr) -> None:
    child = await ecr.push_image(b"one", tag=None, media_type=OCI)
    data = manifest(b"one", media_type=OCI)
    text = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": OCI, "size": len(data), "digest": child}],
        }
    )
    await ecr("PutImage", repositoryName="app", imageManifest=text, imageTag="all")
    asked = {"repositoryName": "app", "imageIds": [{"imageDigest": child}]}
    held = await ecr("BatchDeleteImage", **asked)
    assert held["failures"][0]["failureCode"] == "ImageReferencedByManifestList"
    await ecr("BatchDeleteImage", repositoryName="app", imageIds=[{"imageTag": "all"}])
    assert (await ecr("BatchDeleteImage", **asked))["failures"] == []


async def test_pages_are_whole_and_without_gaps(ecr: Ecr) -> None:
    for number in range(3):
        await ecr.push_image(f"layer {number}".encode(), tag=f"tag-{number}")
        await ecr.push_image(f"layer {number}".encode(), tag=f"also-{number}")
    await ecr.push_image(b"untagged", tag=None)
    for operation, key, count in (
        ("ListImages", "imageIds", 7),
        ("DescribeImages", "imageDetails", 4),
    ):
        found: list[Any] = []
        token: dict[str, str] = {}
        while True:
            page = await ecr(operation, repositoryName="app", maxResults=2, **token)
            assert len(page[key]) <= 2
            found += page[key]
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
        assert len(found) == count
        assert len({json.dumps(one, default=str) for one in found}) == count
    tagged = await ecr("ListImages", repositoryName="app", filter={"tagStatus": "UNTAGGED"})
    assert len(tagged["imageIds"]) == 1
    fault = await ecr.refused("ListImages", repositoryName="app", nextToken="\N{SNOWMAN}")
    assert fault.code == "InvalidParameterException"


async def test_images_are_found_by_both_names(ecr: Ecr) -> None:
    digest = await ecr.push_image(b"layer", tag="1")
    store = ecr.registry.images
    for name in (
        f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/app:1",
        f"{ADDRESS}/app:1",
        f"localhost:4566/app@{digest}",
    ):
        found = store.find(parse(name))
        assert found.digest == digest
        assert found.path(found.manifest.layers[0]).read_bytes() == b"layer"
        assert found.config.architecture == "amd64"
    for name in (
        f"111111111111.dkr.ecr.{REGION}.amazonaws.com/app:1",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/app:1",
        "127.0.0.1:4567/app:1",
        f"{ADDRESS}/app:2",
        f"{ADDRESS}/app",
        f"{ADDRESS}/none:1",
    ):
        with pytest.raises(ImageMissingError):
            store.find(parse(name))


async def test_an_oci_image_is_read_and_something_else_is_no_image(ecr: Ecr) -> None:
    await ecr.push_image(b"layer", tag="oci", media_type=OCI)
    reference = Reference(registry=ADDRESS, repository="app", tag="oci")
    assert ecr.registry.images.media_type(reference) == OCI
    assert ecr.registry.images.find(reference).manifest.layers[0].size == 5

    await ecr.push_layer(b"not a config")
    text = manifest(b"layer", config=b"not a config")
    await ecr("PutImage", repositoryName="app", imageManifest=text, imageTag="odd")
    with pytest.raises(ImageMissingError):
        ecr.registry.images.find(Reference(registry=ADDRESS, repository="app", tag="odd"))
