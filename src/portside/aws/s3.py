"""Buckets and objects.

Of a bucket each call names the account that it has to belong to (`ExpectedBucketOwner`), since
anybody may have made one of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from boto3.exceptions import S3UploadFailedError

from portside.aws.session import Session, explained
from portside.errors import RemoteError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        ObjectIdentifierTypeDef,
        PublicAccessBlockConfigurationTypeDef,
    )

T = TypeVar("T")

_NOT_FOUND: Final = {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}

_UNKNOWN: Final = {"NotImplemented", "501"}
"""Of a store that is not S3 itself, and has no public access that could be blocked. Seen of
SeaweedFS 4.48."""

_BLOCK: Final[PublicAccessBlockConfigurationTypeDef] = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}

_DELETED_AT_ONCE: Final = 1000
"""Objects of one DeleteObjects. S3 API reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketState:
    """How a bucket keeps what is in it."""

    is_encrypted: bool
    is_private: bool
    is_versioned: bool


def describe_bucket(session: Session, bucket: str) -> BucketState | None:
    """The bucket as it stands, or None where there is none; one of another account is refused."""
    client, owner = session.s3, session.account
    if not _bucket_exists(session, bucket):
        return None
    encryption = _unless(
        {"ServerSideEncryptionConfigurationNotFoundError"},
        lambda: client.get_bucket_encryption(Bucket=bucket, ExpectedBucketOwner=owner),
        "GetBucketEncryption",
    )
    block = _unless(
        {"NoSuchPublicAccessBlockConfiguration"},
        lambda: client.get_public_access_block(Bucket=bucket, ExpectedBucketOwner=owner)[
            "PublicAccessBlockConfiguration"
        ],
        "GetPublicAccessBlock",
        unknown=_BLOCK,
    )
    with explained("s3", "GetBucketVersioning"):
        versioning = client.get_bucket_versioning(Bucket=bucket, ExpectedBucketOwner=owner).get(
            "Status"
        )
    return BucketState(
        is_encrypted=encryption is not None,
        is_private=block is not None and all(block.values()),
        is_versioned=versioning == "Enabled",
    )


def _bucket_exists(session: Session, bucket: str) -> bool:
    """HEAD has no body: a refusal of somebody else's bucket reads as one for want of permission."""
    try:
        return _found(
            lambda: session.s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=session.account),
            "HeadBucket",
        )
    except RemoteError as error:
        if error.code == "403":
            error.message = (
                f"cannot use the bucket `{bucket}`: it is another account's, or you may not look "
                "at it"
            )
            error.hint = (
                f"{error.hint}\nif you have that already, deploy to another region: in this one "
                "the name of the bucket is taken"
            )
        raise


def secure_bucket(session: Session, bucket: str) -> None:
    """Encrypt what comes, close the bucket to the public, keep what is overwritten."""
    client, owner = session.s3, session.account
    with explained("s3", "PutBucketEncryption"):
        client.put_bucket_encryption(
            Bucket=bucket,
            ExpectedBucketOwner=owner,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        )
    _unless(
        set(),
        lambda: client.put_public_access_block(
            Bucket=bucket, ExpectedBucketOwner=owner, PublicAccessBlockConfiguration=_BLOCK
        ),
        "PutPublicAccessBlock",
    )
    with explained("s3", "PutBucketVersioning"):
        client.put_bucket_versioning(
            Bucket=bucket,
            ExpectedBucketOwner=owner,
            VersioningConfiguration={"Status": "Enabled"},
        )


def create_bucket(session: Session, bucket: str) -> None:
    """Make a bucket in the session's region; `secure_bucket` is for what S3 leaves open.

    One that is there already and ours is no error.
    """
    # us-east-1 is the one region that must not be named.
    # Source: S3 API reference, CreateBucket, LocationConstraint.
    place: dict[str, Any] = {}
    if session.region != "us-east-1":
        place["CreateBucketConfiguration"] = {"LocationConstraint": session.region}
    _unless(
        {"BucketAlreadyOwnedByYou"},
        lambda: session.s3.create_bucket(Bucket=bucket, **place),
        "CreateBucket",
    )


def object_exists(session: Session, bucket: str, key: str) -> bool:
    """Whether the object is there (false where the bucket is missing)."""
    return _found(
        lambda: session.s3.head_object(Bucket=bucket, Key=key, ExpectedBucketOwner=session.account),
        "HeadObject",
    )


def upload(
    session: Session, file: Path, *, bucket: str, key: str, progress: Callable[[int], None]
) -> None:
    """Send a file, in parts where it is large; `progress` is told each number of bytes sent.

    Parts that an earlier attempt left are removed: nobody sees them, and they cost as objects do.
    """
    _abort_uploads(session, bucket, prefix=key)
    with explained("s3", "PutObject"):
        try:
            session.s3.upload_file(
                str(file),
                bucket,
                key,
                Callback=progress,
                ExtraArgs={"ExpectedBucketOwner": session.account},
            )
        except S3UploadFailedError as error:
            # boto3 hides the refusal, with its code, in a text of its own.
            raise error.__context__ or error from error


def list_keys(session: Session, bucket: str, *, prefix: str) -> list[str]:
    """All keys that begin with the prefix, in order; none where the bucket is missing."""
    keys: list[str] = []
    try:
        with explained("s3", "ListObjectsV2"):
            for page in session.s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=session.account
            ):
                keys += [entry["Key"] for entry in page.get("Contents", [])]
    except RemoteError as error:
        if error.code not in _NOT_FOUND:
            raise
    return keys


def list_kept_keys(session: Session, bucket: str, *, prefix: str) -> list[str]:
    """As `list_keys`, with those of which a version or an unfinished upload is left."""
    kept = {key for key, _ in _versions(session, bucket, prefix=prefix)}
    return sorted(kept | {key for key, _ in _uploads(session, bucket, prefix=prefix)})


def delete_object(session: Session, bucket: str, key: str) -> None:
    """Remove an object with all its versions and parts; one that is gone already is no error."""
    _abort_uploads(session, bucket, prefix=key)
    found = [one for one in _versions(session, bucket, prefix=key) if one[0] == key]
    _delete_versions(session, bucket, found)


def delete_prefix(session: Session, bucket: str, *, prefix: str) -> None:
    """Remove all objects under a prefix, with all their versions."""
    _delete_versions(session, bucket, list(_versions(session, bucket, prefix=prefix)))


def list_folders(session: Session, bucket: str) -> list[str]:
    """What stands before the first `/` of the keys, each once; none where the bucket is missing."""
    folders: list[str] = []
    try:
        with explained("s3", "ListObjectsV2"):
            for page in session.s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Delimiter="/", ExpectedBucketOwner=session.account
            ):
                folders += [one["Prefix"].rstrip("/") for one in page.get("CommonPrefixes", [])]
    except RemoteError as error:
        if error.code not in _NOT_FOUND:
            raise
    return folders


def remove_bucket(session: Session, bucket: str) -> None:
    """Remove a bucket with all that is in it; one that is gone already is no error."""
    _abort_uploads(session, bucket, prefix="")
    _delete_versions(session, bucket, list(_versions(session, bucket, prefix="")))
    _unless(
        {"NoSuchBucket"},
        lambda: session.s3.delete_bucket(Bucket=bucket, ExpectedBucketOwner=session.account),
        "DeleteBucket",
    )


def _delete_versions(session: Session, bucket: str, found: list[tuple[str, str]]) -> None:
    """Remove versions, each by its key and its own name."""
    for first in range(0, len(found), _DELETED_AT_ONCE):
        batch: list[ObjectIdentifierTypeDef] = [
            {"Key": key, "VersionId": version}
            for key, version in found[first : first + _DELETED_AT_ONCE]
        ]
        with explained("s3", "DeleteObjects"):
            answer = session.s3.delete_objects(
                Bucket=bucket,
                Delete={"Objects": batch, "Quiet": True},
                ExpectedBucketOwner=session.account,
            )
        for error in answer.get("Errors", []):
            raise RemoteError(
                f"cannot remove `s3://{bucket}/{error.get('Key', '')}`: "
                f"{error.get('Message', '')}".rstrip("."),
                service="s3",
                operation="DeleteObjects",
                code=error.get("Code", "Unknown"),
            )


def _versions(session: Session, bucket: str, *, prefix: str) -> Iterator[tuple[str, str]]:
    """Key and version of all that lies under a prefix, marks of what was deleted among them."""
    try:
        with explained("s3", "ListObjectVersions"):
            for page in session.s3.get_paginator("list_object_versions").paginate(
                Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=session.account
            ):
                for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                    yield entry["Key"], entry["VersionId"]
    except RemoteError as error:
        if error.code not in _NOT_FOUND:
            raise


def _uploads(session: Session, bucket: str, *, prefix: str) -> list[tuple[str, str]]:
    """Key and ID of each upload in parts that was begun under a prefix, and not ended."""
    try:
        with explained("s3", "ListMultipartUploads"):
            pages = session.s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=session.account
            )
            return [
                (upload["Key"], upload["UploadId"])
                for page in pages
                for upload in page.get("Uploads", [])
            ]
    except RemoteError as error:
        if error.code not in _NOT_FOUND:
            raise
        return []


def _abort_uploads(session: Session, bucket: str, *, prefix: str) -> None:
    for key, upload_id in _uploads(session, bucket, prefix=prefix):
        with explained("s3", "AbortMultipartUpload"):
            session.s3.abort_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload_id, ExpectedBucketOwner=session.account
            )


def _found(look: Callable[[], object], operation: str) -> bool:
    return _unless(_NOT_FOUND, look, operation) is not None


def _unless(
    absent: set[str], look: Callable[[], T], operation: str, *, unknown: T | None = None
) -> T | None:
    """What was asked for; None for the codes that mean that there is none.

    `unknown` is for a store that does not know what is asked for.
    """
    try:
        with explained("s3", operation):
            return look()
    except RemoteError as error:
        if error.code in absent:
            return None
        if error.code in _UNKNOWN:
            return unknown
        raise
