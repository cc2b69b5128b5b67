"""Images: put, read, listed, described and deleted, one or many in a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portside.local.clock import moment
from portside.local.ecr.listing import page
from portside.local.ecr.refusal import IMAGE_NOT_FOUND

if TYPE_CHECKING:
    from portside.local.ecr.catalog.image_table import Image, ImageTable
    from portside.local.ecr.image import Images
    from portside.local.ecr.lookup import Lookup
    from portside.local.ecr.refusal import Words
    from portside.local.protocol.call import Call


class ImageService:
    """PutImage, BatchGetImage, BatchDeleteImage, ListImages, DescribeImages."""

    def __init__(self, table: ImageTable, *, images: Images, lookup: Lookup, words: Words) -> None:
        self._table = table
        self._images = images
        self._lookup = lookup
        self._words = words

    async def put(self, call: Call) -> dict[str, Any]:
        """Keep a manifest whose layers are there, or give one that is there another tag."""
        repository, params = self._lookup.of(call), call.params
        tag = params.get("imageTag")
        image = self._images.put(
            repository,
            params["imageManifest"].encode(),
            media_type=params.get("imageManifestMediaType"),
            tag=tag,
            digest=params.get("imageDigest"),
        )
        return {"image": self._told(repository.name, image, tag=tag)}

    async def get_batch(self, call: Call) -> dict[str, Any]:
        """The manifests of these images; what there is none of is told apart."""
        name = self._lookup.of(call).name
        images, failures = [], []
        for asked in call.params["imageIds"]:
            found = self._find(name, asked)
            if found is None:
                failures.append(_failure(asked))
            else:
                images.append(self._told(name, found, tag=asked.get("imageTag")))
        return {"images": images, "failures": failures}

    async def delete_batch(self, call: Call) -> dict[str, Any]:
        """Remove images by digest, or tags of images: the last one takes the image with it."""
        name = self._lookup.of(call).name
        deleted, failures = [], []
        for asked in call.params["imageIds"]:
            found = self._find(name, asked)
            if found is None:
                failures.append(_failure(asked))
            elif held := self._holders(name, found, asked):
                failures.append(_held(asked, held))
            else:
                deleted += self._delete(name, found, asked)
        return {"imageIds": deleted, "failures": failures}

    async def list_page(self, call: Call) -> dict[str, Any]:
        """One page of digests and tags."""
        name, is_tagged = self._lookup.of(call).name, _is_tagged(call)
        ids, token = page(
            call,
            lambda after, limit: self._table.id_page(
                name, after=after, limit=limit, is_tagged=is_tagged
            ),
            key=" ".join,
        )
        return {"imageIds": [_id(digest, tag) for digest, tag in ids], **token}

    async def describe(self, call: Call) -> dict[str, Any]:
        """The images that were named, or a page of all."""
        name, is_tagged = self._lookup.of(call).name, _is_tagged(call)
        if asked := call.params.get("imageIds"):
            images = [self._named(name, one) for one in asked]
            distinct = {image.digest: image for image in images}.values()
            return {"imageDetails": [self._details(name, image) for image in distinct]}
        images, token = page(
            call,
            lambda after, limit: self._table.page(
                name, after=after, limit=limit, is_tagged=is_tagged
            ),
            key=lambda image: image.digest,
        )
        return {"imageDetails": [self._details(name, image) for image in images], **token}

    def _find(self, name: str, asked: dict[str, str]) -> Image | None:
        digest, tag = asked.get("imageDigest"), asked.get("imageTag")
        return self._images.find(name, digest=digest, tag=tag)

    def _named(self, name: str, asked: dict[str, str]) -> Image:
        found = self._find(name, asked)
        if found is None:
            digest, tag = asked.get("imageDigest"), asked.get("imageTag")
            raise self._words.no_image(digest, tag, repository=name)
        return found

    def _holders(self, name: str, image: Image, asked: dict[str, str]) -> list[str]:
        """The indexes that need an image which is asked to go."""
        tags = self._table.tags_of(name, image.digest)
        goes = "imageTag" not in asked or tags == [asked["imageTag"]]
        return self._table.holders(name, image.digest) if goes else []

    def _delete(self, name: str, image: Image, asked: dict[str, str]) -> list[dict[str, str]]:
        tags = self._table.tags_of(name, image.digest)
        if "imageTag" in asked and tags != [asked["imageTag"]]:
            self._table.remove_tag(name, asked["imageTag"])
            return [_id(image.digest, asked["imageTag"])]
        self._images.remove(name, image.digest)
        return [_id(image.digest, tag) for tag in tags or [""]]

    def _told(self, name: str, image: Image, *, tag: str | None) -> dict[str, Any]:
        return {
            "registryId": self._words.account,
            "repositoryName": name,
            "imageId": _id(image.digest, tag or ""),
            "imageManifest": image.manifest.decode(),
            "imageManifestMediaType": image.media_type,
        }

    def _details(self, name: str, image: Image) -> dict[str, Any]:
        tags = self._table.tags_of(name, image.digest)
        return {
            "registryId": self._words.account,
            "repositoryName": name,
            "imageDigest": image.digest,
            "imageTags": tags or None,
            "imageSizeInBytes": image.size,
            "imagePushedAt": moment(image.pushed_ms),
            "imageManifestMediaType": image.media_type,
            "artifactMediaType": image.artifact_type,
            "imageStatus": "ACTIVE",
        }


def _id(digest: str, tag: str) -> dict[str, str]:
    return {"imageDigest": digest} | ({"imageTag": tag} if tag else {})


def _is_tagged(call: Call) -> bool | None:
    """Whether only images with tags are asked for, or only those without."""
    status = call.params.get("filter", {}).get("tagStatus", "ANY")
    return {"TAGGED": True, "UNTAGGED": False}.get(status)


def _failure(asked: dict[str, str]) -> dict[str, Any]:
    """The words as moto has them."""
    if not asked:
        code = "MissingDigestAndTag"
        reason = "Invalid request parameters: both tag and digest cannot be null"
    else:
        code, reason = "ImageNotFound", IMAGE_NOT_FOUND
    return {"imageId": asked, "failureCode": code, "failureReason": reason}


def _held(asked: dict[str, str], holders: list[str]) -> dict[str, Any]:
    """Seen on AWS: "Requested image referenced by manifest list: [sha256:…]"."""
    reason = f"Requested image referenced by manifest list: [{', '.join(holders)}]"
    code = "ImageReferencedByManifestList"
    return {"imageId": asked, "failureCode": code, "failureReason": reason}
