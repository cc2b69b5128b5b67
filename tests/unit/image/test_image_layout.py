"""Blobs on disk: whole and what they claim to be, or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portside.errors import BuildError
from portside.image.layout import KEPT_S, Layout, key_of
from portside.image.oci import Descriptor, digest_of


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def described(data: bytes) -> Descriptor:
    return Descriptor(media_type="x", size=len(data), digest=digest_of(data))


def test_what_is_received_is_kept(layout: Layout) -> None:
    path = layout.receive(described(b"hello"), [b"hel", b"lo"], source="there")

    assert path.read_bytes() == b"hello"
    assert layout.has(described(b"hello"))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"hellO", "another digest"), (b"hell", "is shorter"), (b"hello!", "is longer")],
)
def test_what_is_not_as_announced_leaves_nothing(layout: Layout, sent: bytes, reason: str) -> None:
    with pytest.raises(BuildError, match=reason):
        layout.receive(described(b"hello"), [sent], source="there")

    assert list(layout.blobs.iterdir()) == []


def test_an_endless_answer_is_cut_at_the_announced_size(layout: Layout) -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 10

    with pytest.raises(BuildError, match="is longer"):
        layout.receive(described(b"x" * 25), endless(), source="there")

    assert taken == 3


def test_a_blob_that_was_cut_short_does_not_count(layout: Layout) -> None:
    blob = layout.write(b"hello", media_type="x")
    layout.path(blob.digest).write_bytes(b"he")

    assert not layout.has(blob)


def test_a_selector_from_another_version_is_forgotten(layout: Layout) -> None:
    layout.remember("content-1", {"other": "fields"})

    assert layout.recall("content-1", Descriptor) is None


def test_what_is_written_again_counts_as_used(layout: Layout) -> None:
    blob = layout.write(b"a manifest", media_type="x")
    os.utime(layout.path(blob.digest), (0, 0))

    layout.write(b"a manifest", media_type="x")
    layout.prune(now=layout.folder.stat().st_mtime)

    assert layout.path(blob.digest).read_bytes() == b"a manifest"


def test_what_was_not_used_lately_is_removed(layout: Layout) -> None:
    old, used = layout.write(b"old", media_type="x"), layout.write(b"used", media_type="x")
    layout.remember(key_of("code", "used"), used)
    leftover, installed = layout.blobs / ".code.01.partial", layout.folder / ".install.01.partial"
    leftover.touch()
    installed.mkdir()
    for path in layout.blobs.iterdir():
        os.utime(path, (0, 0))

    layout.prune(now=layout.folder.stat().st_mtime + KEPT_S / 2)

    assert not layout.has(old)
    assert layout.has(used)
    assert not leftover.exists()
    assert not installed.exists()

    layout.prune(now=layout.folder.stat().st_mtime + 2 * KEPT_S)

    assert not layout.has(used)
    assert layout.recall(key_of("code", "used"), Descriptor) is None
