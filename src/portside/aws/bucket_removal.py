"""A bucket with all that is in it, versions and unfinished uploads as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.aws.session import Session, explained
from portside.errors import RemoteError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_AT_ONCE: Final = 1000
"""Objects in one DeleteObjects. Source: S3 API Reference."""


def remove(session: Session, bucket: str) -> None:
    """Empty the bucket and remove it; one that is gone already is no error."""
    client, owner = session.s3, session.account
    try:
        with explained("s3", "ListObjectVersions"):
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=bucket, ExpectedBucketOwner=owner
            )
            found: list[ObjectIdentifierTypeDef] = [
                {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                for page in pages
                for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            ]
        for first in range(0, len(found), _AT_ONCE):
            with explained("s3", "DeleteObjects"):
                client.delete_objects(
                    Bucket=bucket,
                    Delete={"Objects": found[first : first + _AT_ONCE], "Quiet": True},
                    ExpectedBucketOwner=owner,
                )
        with explained("s3", "AbortMultipartUpload"):
            for upload in client.list_multipart_uploads(
                Bucket=bucket, ExpectedBucketOwner=owner
            ).get("Uploads", []):
                client.abort_multipart_upload(
                    Bucket=bucket,
                    Key=upload["Key"],
                    UploadId=upload["UploadId"],
                    ExpectedBucketOwner=owner,
                )
        with explained("s3", "DeleteBucket"):
            client.delete_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
    except RemoteError as error:
        if error.code != "NoSuchBucket":
            raise
