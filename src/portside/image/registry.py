"""The distribution API of a registry: what is asked, and what an answer means.

    pull   GET manifest, GET blob
    push   HEAD blob ─▶ there
              │ missing
              ├─▶ POST upload, mount=DIGEST&from=REPOSITORY ─▶ 201 mounted
              └─▶ POST upload ─▶ PUT the whole blob         one body: ECR breaks chunked uploads
           PUT manifest

Source: the OCI distribution specification 1.1. Of ECR's chunks: aws/containers-roadmap#2831.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlencode, urljoin

from portside.errors import BuildError, RemoteError
from portside.image.oci import INDEXES, MANIFEST_BYTES, MANIFESTS, Descriptor
from portside.image.transport import Answer, Call, Transport

_ACCEPTED: Final = ", ".join(sorted(MANIFESTS | INDEXES))
_OCTETS: Final = "application/octet-stream"


class Registry:
    """One registry; repositories are named in each call."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def manifest(self, repository: str, reference: str) -> tuple[str, bytes]:
        """The media type and the bytes of a manifest or an index; `reference` a tag or digest."""
        answer = self._transport.send(
            Call(
                method="GET",
                path=f"{repository}/manifests/{reference}",
                doing=f"pull the manifest `{reference}` of `{repository}`",
                scopes=(pull(repository),),
                expected=frozenset({200}),
                headers={"Accept": _ACCEPTED},
            )
        )
        if len(answer.body) > MANIFEST_BYTES:
            raise BuildError(f"the manifest of `{repository}` has over {MANIFEST_BYTES} bytes")
        return answer.headers.get("content-type", "").partition(";")[0].strip(), answer.body

    def blob(self, repository: str, blob: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob, not checked yet."""
        return self._transport.stream(
            Call(
                method="GET",
                path=f"{repository}/blobs/{blob.digest}",
                doing=f"pull the blob `{blob.digest}` of `{repository}`",
                scopes=(pull(repository),),
                expected=frozenset({200}),
            )
        )

    def has_blob(self, repository: str, blob: Descriptor) -> bool:
        """Whether the repository has the blob, and of this size."""
        answer = self._transport.send(
            Call(
                method="HEAD",
                path=f"{repository}/blobs/{blob.digest}",
                doing=f"ask `{repository}` for the blob `{blob.digest}`",
                scopes=push(repository),
                expected=frozenset({200, 404}),
            )
        )
        return answer.status == 200 and answer.headers.get("content-length") in {
            None,
            str(blob.size),
        }

    def mount(self, repository: str, blob: Descriptor, *, origin: str) -> bool:
        """Have the registry take the blob from its other repository; False where it does not."""
        answer = self._begin(
            repository,
            blob,
            query={"mount": blob.digest, "from": origin},
            scopes=(*push(repository), pull(origin)),
            expected=frozenset({201, 202, 403, 404, 405}),
        )
        if answer.status == 202:  # it began an upload instead
            self._cancel(repository, answer)
        return answer.status == 201

    def send(
        self, repository: str, blob: Descriptor, *, path: Path, progress: Callable[[int], None]
    ) -> None:
        """Upload a blob; `progress` hears each number of bytes, below 0 for those in vain."""
        begun = self._begin(
            repository, blob, query={}, scopes=push(repository), expected=frozenset({202})
        )
        location = _location(begun)
        separator = "&" if "?" in location else "?"
        told = 0

        def count(size: int) -> None:
            nonlocal told
            told += size
            progress(size)

        def open_again() -> BinaryIO:
            count(-told)
            return _Counted(path, count)

        call = Call(
            method="PUT",
            path=f"{location}{separator}{urlencode({'digest': blob.digest})}",
            doing=f"push the blob `{blob.digest}` to `{repository}`",
            scopes=push(repository),
            expected=frozenset({201}),
            headers={"Content-Type": _OCTETS},
            body=open_again,
            size_bytes=blob.size,
            # The address is for one attempt; `publish` begins the next one.
            repeats=False,
        )
        try:
            self._transport.send(call)
        except RemoteError:
            count(-told)
            raise

    def put_manifest(
        self, repository: str, reference: str, *, media_type: str, data: bytes
    ) -> None:
        """Store a manifest under a tag or its digest."""
        self._transport.send(
            Call(
                method="PUT",
                path=f"{repository}/manifests/{reference}",
                doing=f"push the manifest `{reference}` of `{repository}`",
                scopes=push(repository),
                expected=frozenset({200, 201}),
                headers={"Content-Type": media_type},
                body=lambda: io.BytesIO(data),
                size_bytes=len(data),
            )
        )

    def _begin(
        self,
        repository: str,
        blob: Descriptor,
        *,
        query: dict[str, str],
        scopes: tuple[str, ...],
        expected: frozenset[int],
    ) -> Answer:
        return self._transport.send(
            Call(
                method="POST",
                path=f"{repository}/blobs/uploads/" + (f"?{urlencode(query)}" if query else ""),
                doing=f"begin to push the blob `{blob.digest}` to `{repository}`",
                scopes=scopes,
                expected=expected,
            )
        )

    def _cancel(self, repository: str, begun: Answer) -> None:
        self._transport.send(
            Call(
                method="DELETE",
                path=_location(begun),
                doing=f"end an upload to `{repository}`",
                scopes=push(repository),
                # Some cannot; the upload then ends by itself.
                expected=frozenset(range(200, 500)),
            )
        )


def pull(repository: str) -> str:
    """What a token has to allow for reading."""
    return f"repository:{repository}:pull"


def push(repository: str) -> tuple[str, ...]:
    """What a token has to allow for reading and writing."""
    return (f"repository:{repository}:pull,push",)


def _location(answer: Answer) -> str:
    location = answer.headers.get("location")
    if not location:
        raise BuildError(f"`{answer.url}` began an upload and did not say where")
    try:
        return urljoin(answer.url, location)
    except ValueError as error:
        raise BuildError(f"`{answer.url}` began an upload at `{location}`: {error}") from error


class _Counted(io.FileIO):
    """A file that tells how much of it is read."""

    def __init__(self, path: Path, count: Callable[[int], None]) -> None:
        super().__init__(path, "rb")
        self._count = count

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size) or b""
        self._count(len(data))
        return data
