"""Repositories, layers and images of ECR, by its own API: no docker, no password of a registry.

    available_layers ─▶ begin_upload ─▶ upload_part … ─▶ complete_upload     each layer that lacks
                                                         put_image           then the manifest

Source: botocore's service model of ECR, 2015-09-21.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from botocore.exceptions import ClientError

from portside.aws.session import Session, explained
from portside.errors import RemoteError

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef, ImageIdentifierTypeDef

REPOSITORY_MISSING: Final = "RepositoryNotFoundException"
_OUT_OF_STEP: Final = "InvalidLayerPartException"

_BATCH: Final = 100
"""Most digests of one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository; `account` (twelve digits) is the registry that it lies in."""

    account: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageState:
    """An image as it lies in a repository; `size_bytes` is that of its packed layers."""

    digest: str
    tags: tuple[str, ...]
    media_type: str
    size_bytes: int
    pushed_at: datetime


class OutOfStepError(RemoteError):
    """ECR did not take a part, because it is not the next one; it has `received` bytes so far."""

    def __init__(self, message: str, *, received: int) -> None:
        super().__init__(message, service="ecr", operation="UploadLayerPart", code=_OUT_OF_STEP)
        self.received = received


def create_repository(session: Session, repository: Repository, *, tags: dict[str, str]) -> None:
    """Make a repository that scans what comes; one that is there already is no error.

    Its tags may move, because a user's own (`ner:latest`) do; SageMaker is given digests. It is
    encrypted with AES-256, as ECR does where nothing else is asked for.
    """
    try:
        with explained("ecr", "CreateRepository"):
            session.ecr.create_repository(
                registryId=repository.account,
                repositoryName=repository.name,
                imageTagMutability="MUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
                tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )
    except RemoteError as error:
        if error.code != "RepositoryAlreadyExistsException":
            raise


# --- Layers ---------------------------------------------------------------------


def available_layers(
    session: Session, repository: Repository, digests: Sequence[str]
) -> frozenset[str]:
    """Those of the blobs, be they layers or configs, that the repository has."""
    there = set[str]()
    for first in range(0, len(digests), _BATCH):
        with explained("ecr", "BatchCheckLayerAvailability"):
            answer = session.ecr.batch_check_layer_availability(
                registryId=repository.account,
                repositoryName=repository.name,
                layerDigests=list(digests[first : first + _BATCH]),
            )
        there.update(
            layer["layerDigest"]
            for layer in answer.get("layers", [])
            if layer["layerAvailability"] == "AVAILABLE"
        )
    return frozenset(there)


def begin_upload(session: Session, repository: Repository) -> tuple[str, int]:
    """The ID of a new upload, and the size in bytes of the parts that ECR expects."""
    with explained("ecr", "InitiateLayerUpload"):
        answer = session.ecr.initiate_layer_upload(
            registryId=repository.account, repositoryName=repository.name
        )
    return answer["uploadId"], answer["partSize"]


def upload_part(
    session: Session, repository: Repository, upload_id: str, *, first_byte: int, data: bytes
) -> int:
    """Send a part; the number of bytes that ECR then has of the upload.

    Raises `OutOfStepError` where ECR waits for another part.
    """
    with explained("ecr", "UploadLayerPart"):
        try:
            answer = session.ecr.upload_layer_part(
                registryId=repository.account,
                repositoryName=repository.name,
                uploadId=upload_id,
                partFirstByte=first_byte,
                partLastByte=first_byte + len(data) - 1,
                layerPartBlob=data,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != _OUT_OF_STEP:
                raise
            raise _out_of_step(error) from error
    return int(answer["lastByteReceived"]) + 1


def complete_upload(
    session: Session, repository: Repository, upload_id: str, *, digest: str
) -> None:
    """Make a layer of what was uploaded; one that is there already is no error."""
    try:
        with explained("ecr", "CompleteLayerUpload"):
            session.ecr.complete_layer_upload(
                registryId=repository.account,
                repositoryName=repository.name,
                uploadId=upload_id,
                layerDigests=[digest],
            )
    except RemoteError as error:
        if error.code != "LayerAlreadyExistsException":
            raise


# --- Images ---------------------------------------------------------------------


def put_image(
    session: Session,
    repository: Repository,
    *,
    manifest: bytes,
    media_type: str,
    digest: str,
    tag: str | None = None,
) -> None:
    """Store a manifest, under a tag if one is given; one that is there already is no error."""
    try:
        with explained("ecr", "PutImage"):
            session.ecr.put_image(
                registryId=repository.account,
                repositoryName=repository.name,
                imageManifest=manifest.decode(),
                imageManifestMediaType=media_type,
                imageDigest=digest,
                **({} if tag is None else {"imageTag": tag}),
            )
    except RemoteError as error:
        if error.code != "ImageAlreadyExistsException":
            raise


def describe_image(session: Session, repository: Repository, reference: str) -> ImageState | None:
    """An image as it lies there, or None where it is missing; `reference` is a tag or a digest."""
    try:
        with explained("ecr", "DescribeImages"):
            answer = session.ecr.describe_images(
                registryId=repository.account,
                repositoryName=repository.name,
                imageIds=[_image_id(reference)],
            )
    except RemoteError as error:
        if error.code in {REPOSITORY_MISSING, "ImageNotFoundException"}:
            return None
        raise
    return _image_state(answer["imageDetails"][0])


def _image_id(reference: str) -> ImageIdentifierTypeDef:
    if reference.startswith("sha256:"):
        return {"imageDigest": reference}
    return {"imageTag": reference}


def _image_state(image: ImageDetailTypeDef) -> ImageState:
    return ImageState(
        digest=image["imageDigest"],
        tags=tuple(image.get("imageTags", [])),
        media_type=image.get("imageManifestMediaType", ""),
        size_bytes=image.get("imageSizeInBytes", 0),
        pushed_at=image["imagePushedAt"],
    )


def _out_of_step(error: ClientError) -> OutOfStepError:
    """With what ECR says that it has; a last byte of 0 is nothing, since no part has one byte."""
    details = error.response["Error"]
    # A member of this one error alone, which the stubs do not know.
    last = cast("dict[str, Any]", error.response).get("lastValidByteReceived") or 0
    return OutOfStepError(
        f"`ecr:UploadLayerPart` was refused: {details.get('Message')}".rstrip("."),
        received=last + 1 if last > 0 else 0,
    )
