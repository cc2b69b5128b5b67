"""An image to where it is pulled from: what is there is not sent, the rest in parallel.

    blobs ─▶ pending ─▶ mounted from the base's repository, or sent ─▶ manifest

The manifest comes last, so that nobody can pull half an image. A push that is interrupted goes on
where it was when the same command runs again: whole blobs stay at the destination, and at ECR the
parts of large ones.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from portside.image.build import Image
from portside.image.oci import Descriptor
from portside.image.reference import Reference
from portside.image.registry import Registry
from portside.image.transport import PassingError

PARALLEL: Final = 4
ATTEMPTS: Final = 3
"""Of one blob, each with an upload of its own."""


class Destination(Protocol):
    """Where an image goes: any registry here, ECR in `deploy.apply.repository`."""

    def present(self, blobs: Sequence[Descriptor]) -> frozenset[Descriptor]:
        """Those of the blobs that are there already."""

    def begun(self, blob: Descriptor) -> int:
        """How many bytes of a missing blob an interrupted push left there."""

    def mount(self, blob: Descriptor, origin: Reference) -> bool:
        """Take the blob from a neighboring repository; False where that cannot be."""

    def send(self, blob: Descriptor, path: Path, progress: Callable[[int], None]) -> None:
        """Upload a blob; `progress` hears each number of bytes, below 0 for those in vain."""

    def finish(self, manifest: Descriptor, data: bytes) -> None:
        """Store the manifest; the image can be pulled then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A repository of a registry that speaks the distribution API."""

    registry: Registry
    target: Reference

    def present(self, blobs: Sequence[Descriptor]) -> frozenset[Descriptor]:
        """Those of the blobs that are there already: a question for each."""

        def has(blob: Descriptor) -> bool:
            return self.registry.has_blob(self.target.repository, blob)

        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="ask") as pool:
            return frozenset(itertools.compress(blobs, pool.map(has, blobs)))

    def begun(self, blob: Descriptor) -> int:  # noqa: ARG002 - a blob is one body here
        """Nothing."""
        return 0

    def mount(self, blob: Descriptor, origin: Reference) -> bool:
        """From another repository of the same registry."""
        is_neighbor = (
            origin.registry == self.target.registry and origin.repository != self.target.repository
        )
        return is_neighbor and self.registry.mount(
            self.target.repository, blob, origin=origin.repository
        )

    def send(self, blob: Descriptor, path: Path, progress: Callable[[int], None]) -> None:
        """Upload a blob, anew where the way there broke."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.registry.send(self.target.repository, blob, path=path, progress=progress)
            except PassingError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    def finish(self, manifest: Descriptor, data: bytes) -> None:
        """Under the tag if there is one, else under the digest alone."""
        self.registry.put_manifest(
            self.target.repository,
            self.target.tag or manifest.digest,
            media_type=manifest.media_type,
            data=data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What a destination lacks of an image; `begun_bytes` of it are there from an earlier push."""

    missing: tuple[Descriptor, ...]
    present: tuple[Descriptor, ...]
    begun_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """What is to be sent at most: mounted blobs cost nothing."""
        return sum(blob.size for blob in self.missing) - self.begun_bytes


def pending(image: Image, destination: Destination) -> Pending:
    """Ask a destination for the blobs of an image."""
    there = destination.present(image.blobs)
    missing = tuple(blob for blob in image.blobs if blob not in there)
    return Pending(
        missing=missing,
        present=tuple(blob for blob in image.blobs if blob in there),
        begun_bytes=sum(map(destination.begun, missing)),
    )


def publish(
    image: Image,
    destination: Destination,
    todo: Pending,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Send what is missing, then the manifest; the number of bytes that were sent.

    `progress` hears each number of bytes, one thread at a time; mounted ones too. The first
    failure stops the others, and is raised; so does Ctrl-C.
    """
    lock, stopped, sent = threading.Lock(), threading.Event(), 0

    def count(size: int) -> None:
        nonlocal sent
        if stopped.is_set():
            raise CancelledError
        with lock:
            sent += size
            progress(size)

    def deliver(blob: Descriptor) -> None:
        origin = image.origin_of(blob)
        if origin is not None and destination.mount(blob, origin):
            with lock:
                progress(blob.size)
        else:
            destination.send(blob, image.open(blob), count)

    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="push") as pool:
        # The largest first, so that none is left alone at the end.
        ordered = sorted(todo.missing, key=lambda blob: -blob.size)
        deliveries = [pool.submit(deliver, blob) for blob in ordered]
        try:
            for delivery in wait(deliveries, return_when=FIRST_EXCEPTION).done:
                delivery.result()
        finally:
            stopped.set()
            for delivery in deliveries:
                delivery.cancel()
    destination.finish(image.manifest, image.layout.path(image.digest).read_bytes())
    return sent
