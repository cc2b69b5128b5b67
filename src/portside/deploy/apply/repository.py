"""A repository of ECR as where an image goes: by ECR's own API, in parts that can be resumed.

    present   one question for all blobs; the repository is made if it is missing
    send      begin, or go on where a cut push was ─▶ part ─▶ part … ─▶ complete
                                                       └─ written down (upload_record)
    finish    the manifest, under tag and digest

By the registry's side of ECR (`/v2/`) uploads in chunks are broken (aws/containers-roadmap#2831),
and a password is needed; by this one the user's keys are enough. What passes (a connection that
breaks, throttling, 5xx) is repeated, part by part.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from portside import contract
from portside.aws import ecr
from portside.aws.session import PassingError, Session
from portside.deploy.apply.upload_record import Upload, UploadRecord, open_record, read_record
from portside.errors import BuildError, RemoteError, UsageError
from portside.image.oci import Descriptor, digest_of
from portside.image.reference import Reference

PARTS_AT_ONCE: Final = 2
"""A part has 20 MiB, and botocore holds it up to five times while it is signed (as bytes, in
base64, in JSON); two of them take 230 MB, four 400."""

ATTEMPTS: Final = 5
PAUSE_S: Final = 1.0
"""At most, before the second attempt; up to twice as long before each further one. botocore tries
three times within each, and pauses for some hundredths of a second alone."""

CORRECTIONS: Final = 3
"""How often ECR may say, for one upload, that it waits for another part."""

_HOPELESS: Final = frozenset(
    {
        "EmptyUploadException",
        "InvalidLayerException",
        "InvalidLayerPartException",
        "LayerPartTooSmallException",
        "UploadNotFoundException",
    }
)
"""What ends an upload but not the push: the layer is uploaded once more, from its beginning."""

_EMPTY: Final = digest_of(b"")

_Answer = TypeVar("_Answer")


def repository_of(target: Reference) -> ecr.Repository:
    """The repository of an ECR image's name, `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME`."""
    return ecr.Repository(account=target.registry.partition(".")[0], name=target.repository)


def region_of(target: Reference) -> str:
    """The region of an ECR image's name."""
    return target.registry.split(".")[3]


def check_access(session: Session, target: Reference) -> None:
    """Whether this user can push there, as far as one question tells; before anything is made.

    It is the one that a push begins with, so that it needs no permission of its own. Raises
    `UsageError` where the name is of another region, else what ECR refuses.
    """
    most = contract.REPOSITORY_NAME_LENGTH
    if not contract.REPOSITORY_NAME_LEAST <= len(target.repository) <= most:
        raise UsageError(
            f"cannot push to `{target}`: ECR takes no repository called `{target.repository}`",
            hint=f"choose a name of {contract.REPOSITORY_NAME_LEAST} to {most} characters",
        )
    region = region_of(target)
    if region != session.region:
        raise UsageError(
            f"cannot push to `{target}`: it is in `{region}`, and the session in "
            f"`{session.region}`",
            hint=f"run `export AWS_REGION={region}`, or name a registry of `{session.region}`",
        )
    try:
        ecr.available_layers(session, repository_of(target), [_EMPTY])
    except RemoteError as error:
        if error.code != ecr.REPOSITORY_MISSING:  # which the push makes
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrRepository:
    """A `Destination` of `image.publish`; `records` is a folder beside the image's layout.

    `tags` are those that the repository gets if it is made.
    """

    session: Session
    target: Reference
    records: Path
    tags: Mapping[str, str]
    sleep: Callable[[float], None] = time.sleep
    _slots: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(PARTS_AT_ONCE), init=False, repr=False
    )

    @property
    def repository(self) -> ecr.Repository:
        """The repository that the target names."""
        return repository_of(self.target)

    def present(self, blobs: Sequence[Descriptor]) -> frozenset[Descriptor]:
        """Those of the blobs that are there already."""
        try:
            there = ecr.available_layers(
                self.session, self.repository, [blob.digest for blob in blobs]
            )
        except RemoteError as error:
            if error.code != ecr.REPOSITORY_MISSING:
                raise
            ecr.create_repository(self.session, self.repository, tags=dict(self.tags))
            return frozenset()
        found = frozenset(blob for blob in blobs if blob.digest in there)
        for blob in found:
            self._record(blob).unlink(missing_ok=True)
        return found

    def begun(self, blob: Descriptor) -> int:
        """How many bytes of a missing blob an interrupted push left there."""
        upload = read_record(self._record(blob))
        return upload.received if upload and upload.received <= blob.size else 0

    def mount(self, blob: Descriptor, origin: Reference) -> bool:  # noqa: ARG002 - see below
        """ECR mounts blobs by itself, where the registry's settings say so."""
        return False

    def send(self, blob: Descriptor, path: Path, progress: Callable[[int], None]) -> None:
        """Upload a blob, or the rest of it; once more from the beginning if ECR lost the upload."""
        with open_record(self._record(blob)) as record:
            begun = record.read()
            transfer = _Transfer(
                session=self.session,
                repository=self.repository,
                blob=blob,
                path=path,
                record=record,
                slots=self._slots,
                progress=progress,
                sleep=self.sleep,
            )
            try:
                transfer.run(begun if begun and begun.received <= blob.size else None)
            except RemoteError as error:
                if error.code not in _HOPELESS:
                    raise
                # It may have become whole: by another push, or by a request whose answer was lost.
                if not self.present([blob]):
                    transfer.run(None)
            record.remove()

    def finish(self, manifest: Descriptor, data: bytes) -> None:
        """Under the tag if there is one, and under the digest."""
        ecr.put_image(
            self.session,
            self.repository,
            manifest=data,
            media_type=manifest.media_type,
            digest=manifest.digest,
            tag=self.target.tag,
        )

    def _record(self, blob: Descriptor) -> Path:
        """Another one for each repository, since an upload is begun in one."""
        where = f"{self.target.registry}/{self.target.repository}@{blob.digest}"
        return self.records / f"{hashlib.sha256(where.encode()).hexdigest()[:32]}.json"


@dataclass(slots=True, kw_only=True)
class _Transfer:
    """One blob on its way."""

    session: Session
    repository: ecr.Repository
    blob: Descriptor
    path: Path
    record: UploadRecord
    slots: threading.BoundedSemaphore
    progress: Callable[[int], None]
    sleep: Callable[[float], None]
    told: int = 0

    def run(self, begun: Upload | None) -> None:
        """Begin, or go on; part by part to the end."""
        self._tell(-self.told)
        upload = begun or self._patiently(self._begin)
        corrections = 0
        while upload.received < self.blob.size:
            try:
                upload = self._patiently(partial(self._send_part, upload))
            except ecr.OutOfStepError as error:
                corrections += 1
                if error.received == upload.received or corrections > CORRECTIONS:
                    raise
                self._tell(error.received - upload.received)
                upload = self._reached(upload, error.received)
        self._patiently(partial(self._complete, upload))

    def _patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        for attempt in range(1, ATTEMPTS):
            self._tell(0)  # a push that has failed elsewhere ends here
            try:
                return ask()
            except PassingError:
                longest_s = PAUSE_S * 2 ** (attempt - 1)
                # Spread, so that four threads do not come back at once.
                self.sleep(random.uniform(longest_s / 2, longest_s))  # noqa: S311 - no secret
        return ask()

    def _begin(self) -> Upload:
        upload_id, part_bytes = ecr.begin_upload(self.session, self.repository)
        return Upload(upload_id=upload_id, part_bytes=part_bytes)

    def _send_part(self, upload: Upload) -> Upload:
        with self.slots:
            self._tell(0)  # waiting for a slot may have taken long
            data = self._read(upload)
            received = ecr.upload_part(
                self.session,
                self.repository,
                upload.upload_id,
                first_byte=upload.received,
                data=data,
            )
        reached = self._reached(upload, received)
        self._tell(len(data))
        return reached

    def _read(self, upload: Upload) -> bytes:
        wanted = min(upload.part_bytes, self.blob.size - upload.received)
        with self.path.open("rb") as file:
            file.seek(upload.received)
            data = file.read(wanted)
        if len(data) != wanted:
            raise BuildError(
                f"could not push `{self.blob.digest}`: `{self.path}` has become shorter meanwhile",
                hint="build the image again: `portside build`",
            )
        return data

    def _complete(self, upload: Upload) -> None:
        ecr.complete_upload(
            self.session, self.repository, upload.upload_id, digest=self.blob.digest
        )

    def _reached(self, upload: Upload, received: int) -> Upload:
        reached = Upload(
            upload_id=upload.upload_id, part_bytes=upload.part_bytes, received=received
        )
        if 0 < received < self.blob.size:
            self.record.write(reached)
        return reached

    def _tell(self, size: int) -> None:
        self.told += size
        self.progress(size)
