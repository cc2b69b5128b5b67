"""Buckets and objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from boto3.exceptions import S3UploadFailedError

from portside.aws.session import Session, explained
from portside.errors import RemoteError

_NOT_FOUND = {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}


def bucket_exists(session: Session, bucket: str) -> bool:
    """Whether the bucket is there and ours to read."""
    return _found(lambda: session.s3.head_bucket(Bucket=bucket), "HeadBucket")


def create_bucket(session: Session, bucket: str) -> None:
    """Make a bucket in the session's region; encrypted and not public, as S3 now makes them."""
    with explained("s3", "CreateBucket"):
        # us-east-1 is the one region that must not be named.
        # Source: S3 API reference, CreateBucket, LocationConstraint.
        if session.region == "us-east-1":
            session.s3.create_bucket(Bucket=bucket)
        else:
            session.s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": session.region},  # type: ignore[typeddict-item]  # regions are an open set
            )


def object_exists(session: Session, bucket: str, key: str) -> bool:
    """Whether the object is there (false where the bucket is missing)."""
    return _found(lambda: session.s3.head_object(Bucket=bucket, Key=key), "HeadObject")


def upload(
    session: Session, file: Path, *, bucket: str, key: str, progress: Callable[[int], None]
) -> None:
    """Send a file, in parts where it is large; `progress` is told each number of bytes sent."""
    with explained("s3", "PutObject"):
        try:
            session.s3.upload_file(str(file), bucket, key, Callback=progress)
        except S3UploadFailedError as error:
            # boto3 hides the refusal, with its code, in a text of its own.
            raise error.__context__ or error from error


def list_keys(session: Session, bucket: str, *, prefix: str) -> list[str]:
    """All keys that begin with the prefix; none where the bucket is missing."""
    keys: list[str] = []
    try:
        with explained("s3", "ListObjectsV2"):
            for page in session.s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix
            ):
                keys += [entry["Key"] for entry in page.get("Contents", [])]
    except RemoteError as error:
        if error.code not in _NOT_FOUND:
            raise
    return keys


def delete_object(session: Session, bucket: str, key: str) -> None:
    """Remove an object; one that is gone already is no error."""
    with explained("s3", "DeleteObject"):
        session.s3.delete_object(Bucket=bucket, Key=key)


def _found(look: Callable[[], object], operation: str) -> bool:
    try:
        with explained("s3", operation):
            look()
    except RemoteError as error:
        if error.code in _NOT_FOUND:
            return False
        raise
    return True
