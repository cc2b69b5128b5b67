"""What ECR's operations do, one file per kind of thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.local.ecr.services.image import ImageService
from portside.local.ecr.services.layer import LayerService
from portside.local.ecr.services.policy import PolicyService
from portside.local.ecr.services.repository import RepositoryService
from portside.local.ecr.services.tag import TagService

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.ecr.blob_store import BlobStore
    from portside.local.ecr.catalog.catalog import Catalog
    from portside.local.ecr.image import Images
    from portside.local.ecr.login import Login
    from portside.local.ecr.lookup import Lookup
    from portside.local.ecr.refusal import Words
    from portside.local.ecr.upload import Uploads
    from portside.local.protocol.call import Handler


def operations(
    catalog: Catalog,
    blobs: BlobStore,
    *,
    images: Images,
    uploads: Uploads,
    login: Login,
    lookup: Lookup,
    words: Words,
    clock: Clock,
    address: str,
) -> dict[str, Handler]:
    """Every operation that is built, by the names that botocore has for them."""
    repository = RepositoryService(
        catalog, blobs, images=images, lookup=lookup, words=words, clock=clock, address=address
    )
    policy = PolicyService(catalog.repositories, lookup=lookup, words=words)
    tag = TagService(catalog.repositories, lookup=lookup)
    layer = LayerService(
        catalog.layers, uploads=uploads, login=login, lookup=lookup, words=words, address=address
    )
    image = ImageService(catalog.images, images=images, lookup=lookup, words=words)
    return {
        "CreateRepository": repository.create,
        "DescribeRepositories": repository.describe,
        "DeleteRepository": repository.delete,
        "PutImageTagMutability": repository.put_tag_mutability,
        "PutImageScanningConfiguration": repository.put_scanning,
        "PutLifecyclePolicy": policy.put_lifecycle,
        "GetLifecyclePolicy": policy.get_lifecycle,
        "DeleteLifecyclePolicy": policy.delete_lifecycle,
        "SetRepositoryPolicy": policy.set_access,
        "GetRepositoryPolicy": policy.get_access,
        "DeleteRepositoryPolicy": policy.delete_access,
        "TagResource": tag.add,
        "UntagResource": tag.remove,
        "ListTagsForResource": tag.list_all,
        "GetAuthorizationToken": layer.authorize,
        "BatchCheckLayerAvailability": layer.check,
        "InitiateLayerUpload": layer.initiate,
        "UploadLayerPart": layer.upload_part,
        "CompleteLayerUpload": layer.complete,
        "GetDownloadUrlForLayer": layer.download_url,
        "PutImage": image.put,
        "BatchGetImage": image.get_batch,
        "BatchDeleteImage": image.delete_batch,
        "ListImages": image.list_page,
        "DescribeImages": image.describe,
    }
