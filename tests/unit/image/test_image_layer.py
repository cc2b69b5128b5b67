"""Layers: every byte follows from names and contents."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from portside.archive import ArchiveError, Member
from portside.errors import BuildError
from portside.image.layer import Entry, Layer, LayerKind, Link, pack_layer
from portside.image.layout import Layout
from tests.unit.image.image_fakes import names_in


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def pack(layout: Layout, *entries: Entry) -> Layer:
    return pack_layer(entries, kind=LayerKind.CODE, layout=layout)


def file(folder: Path, name: str, text: str = "text", mode: int = 0o600) -> Member:
    path = folder / name.replace("/", "-")
    path.write_text(text)
    path.chmod(mode)
    return Member(name=name, source=path)


def test_entries_are_sorted_owned_by_root_and_open_to_all(layout: Layout, tmp_path: Path) -> None:
    layer = pack(
        layout,
        file(tmp_path, "z/run", mode=0o700),
        Link(name="a/link", target="/usr/bin/x"),
        file(tmp_path, "a/b/text"),
    )
    found = names_in(layout.path(layer.blob.digest))

    assert list(found) == ["a", "a/b", "a/b/text", "a/link", "z", "z/run"]
    modes = {name: member.mode for name, member in found.items()}
    assert modes == {
        "a": 0o755,
        "a/b": 0o755,
        "a/b/text": 0o644,
        "a/link": 0o777,
        "z": 0o755,
        "z/run": 0o755,
    }
    assert all((m.uid, m.gid, m.uname, m.mtime) == (0, 0, "", 0) for m in found.values())
    assert found["a/link"].linkname == "/usr/bin/x"


def test_order_time_and_mask_leave_no_trace(layout: Layout, tmp_path: Path) -> None:
    first, second = file(tmp_path, "a"), file(tmp_path, "b")
    before = pack(layout, first, second)
    os.utime(first.source, (1, 1))
    first.source.chmod(0o666)

    assert pack(layout, second, first) == before


def test_the_digests_are_those_of_the_bytes(layout: Layout, tmp_path: Path) -> None:
    layer = pack(layout, file(tmp_path, "a", "x" * 3_000_000))
    packed = layout.path(layer.blob.digest).read_bytes()
    plain = gzip.decompress(packed)

    assert f"sha256:{hashlib.sha256(packed).hexdigest()}" == layer.blob.digest
    assert f"sha256:{hashlib.sha256(plain).hexdigest()}" == layer.diff_id
    assert (layer.blob.size, layer.size_bytes) == (len(packed), len(plain))


def test_two_files_of_one_name_are_refused(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="two files would become `/a`"):
        pack(layout, file(tmp_path, "a"), file(tmp_path, "./a"))


def test_a_file_cannot_be_a_folder(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="`/a` would be a file and a folder"):
        pack(layout, file(tmp_path, "a"), file(tmp_path, "a/b"))


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x"])
def test_no_name_leads_out_of_the_image(layout: Layout, tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError):
        pack(layout, file(tmp_path, name))


def test_a_link_on_this_machine_is_not_followed(layout: Layout, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/etc/hostname")

    with pytest.raises(ArchiveError, match="is not a regular file"):
        pack(layout, Member(name="a", source=link))

    assert list(layout.blobs.iterdir()) == []
