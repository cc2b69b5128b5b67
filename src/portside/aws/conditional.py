"""One small object on S3 that several writers may fight over: compare and swap.

Each write names what it expects to find, an ETag or nothing at all, and S3 refuses it
with 412 where somebody was quicker. Source: S3 User Guide, "How to prevent object
overwrites with conditional writes" and "How to perform conditional deletes".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from portside.aws.session import Session, explained
from portside.errors import RemoteError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_ABSENT: Final = {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}

_OVERTAKEN: Final = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", *_ABSENT}
"""Answers to a conditional write that came too late: 412, 409 where two come at once, and 404
where the object of an `If-Match` is gone. Source: S3 User Guide, conditional writes."""

_DATE_LENGTH: Final = 29
"""Characters of `Sun, 06 Nov 1994 08:49:37 GMT`: RFC 9110, 5.6.7. A gateway may put its own date in
front of the store's."""


class _Place(TypedDict):
    Bucket: str
    Key: str
    ExpectedBucketOwner: str


class _Condition(TypedDict, total=False):
    IfMatch: str
    IfNoneMatch: Literal["*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies there: its content, its ETag, its age in seconds by the store's own clock."""

    body: bytes
    etag: str
    age_s: float


class ConditionalObject:
    """One object in a bucket; each change is made only where the object is as expected."""

    def __init__(self, session: Session, bucket: str, key: str) -> None:
        self._session = session
        self._bucket = bucket
        self._key = key
        self._is_versioned = False

    def read(self) -> Found | None:
        """The object as it is, None where there is none (or no bucket)."""
        try:
            with explained("s3", "GetObject"):
                answer = self._session.s3.get_object(**self._place)
                body = answer["Body"].read()
        except RemoteError as error:
            if error.code in _ABSENT:
                return None
            raise
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        return Found(
            body=body, etag=answer["ETag"], age_s=_age_s(answer["LastModified"], date=date)
        )

    def create(self, body: bytes) -> str | None:
        """Put it where there is none; its ETag, or None where there is one."""
        return self._put(body, {"IfNoneMatch": "*"})

    def replace(self, body: bytes, *, etag: str) -> str | None:
        """Put another in the place of the one with this ETag; None where that is not there."""
        return self._put(body, {"IfMatch": etag})

    def delete(self, *, etag: str) -> bool:
        """Remove it with its earlier versions; False where it is not the one with this ETag."""
        try:
            with explained("s3", "DeleteObject"):
                self._session.s3.delete_object(**self._place, IfMatch=etag)
        except RemoteError as error:
            if error.code in _OVERTAKEN:
                return False
            raise
        if self._is_versioned:
            self._forget()
        return True

    @property
    def _place(self) -> _Place:
        """With the bucket's owner: its name could be a stranger's after it was removed."""
        return {
            "Bucket": self._bucket,
            "Key": self._key,
            "ExpectedBucketOwner": self._session.account,
        }

    def _put(self, body: bytes, condition: _Condition) -> str | None:
        try:
            with explained("s3", "PutObject"):
                answer = self._session.s3.put_object(**self._place, Body=body, **condition)
        except RemoteError as error:
            if error.code in _OVERTAKEN - {"NoSuchBucket"}:
                return None
            raise
        self._is_versioned = "VersionId" in answer
        return answer["ETag"]

    def _forget(self) -> None:
        """Remove the versions that a versioned bucket keeps of what was deleted.

        What somebody puts there meanwhile is not among the listed. The marker of the deletion
        goes last: without it the newest of the others would come back.
        """
        client = self._session.s3
        with explained("s3", "ListObjectVersions"):
            page = client.list_object_versions(
                Bucket=self._bucket, Prefix=self._key, ExpectedBucketOwner=self._session.account
            )
        versions: list[ObjectIdentifierTypeDef] = [
            {"Key": self._key, "VersionId": version["VersionId"]}
            for version in page.get("Versions", [])
            if version["Key"] == self._key and not version["IsLatest"]
        ]
        markers: list[ObjectIdentifierTypeDef] = [
            {"Key": self._key, "VersionId": marker["VersionId"]}
            for marker in page.get("DeleteMarkers", [])
            if marker["Key"] == self._key
        ]
        for batch in (versions, markers):
            if batch:
                with explained("s3", "DeleteObjects"):
                    client.delete_objects(
                        Bucket=self._bucket,
                        Delete={"Objects": batch},
                        ExpectedBucketOwner=self._session.account,
                    )


def _age_s(modified: datetime, *, date: str) -> float:
    """Seconds between two times that the store told; none where it told no time of its own."""
    return (parsedate_to_datetime(date[-_DATE_LENGTH:]) - modified).total_seconds() if date else 0.0


def write_once(session: Session, bucket: str, key: str, body: bytes) -> None:
    """Put an object that nobody ever changes; one that is there already stays as it is."""
    ConditionalObject(session, bucket, key).create(body)
