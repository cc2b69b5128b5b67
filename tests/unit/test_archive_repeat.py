from __future__ import annotations

import os
from pathlib import Path

import pytest

from portside.archive import ArchiveError, Member, digest, pack_once

LATER = 10.0
"""Seconds from now: files that are made now have settled then."""


class Packer:
    """Packs one folder, and counts how often it really does."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        self.archive = folder / "model.tar.gz"
        self.record = folder / "packed.json"
        (self.source / "weights").write_bytes(b"one")
        self.read_bytes = 0

    def __call__(self, *, later_s: float = LATER) -> bool:
        """Whether there was work to do; what is told is what is there in any case."""
        self.read_bytes = 0
        packed = pack_once(
            [Member(name=path.name, source=path) for path in self.source.iterdir()],
            self.archive,
            record=self.record,
            progress=self._count,
            now=lambda: self.source.stat().st_ctime + later_s,
        )
        assert packed.digest == digest(self.archive)
        assert packed.size_bytes == self.archive.stat().st_size
        return self.read_bytes > 0

    def _count(self, read_bytes: int) -> None:
        self.read_bytes += read_bytes


@pytest.fixture
def packer(tmp_path: Path) -> Packer:
    return Packer(tmp_path)


def test_what_did_not_change_is_packed_once(packer: Packer) -> None:
    assert packer()

    assert not packer()


def test_a_file_that_changed_a_moment_ago_is_not_relied_upon(packer: Packer) -> None:
    assert packer(later_s=1.0)

    assert packer()
    assert not packer()


def test_the_same_size_and_time_are_not_the_same_content(packer: Packer) -> None:
    packer()
    file = packer.source / "weights"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_bytes(b"two")
    os.utime(file, ns=times)

    assert packer()


def test_a_new_file_a_new_name_and_a_new_mode_change_it(packer: Packer) -> None:
    packer()
    (packer.source / "config").write_bytes(b"{}")
    assert packer()
    (packer.source / "config").rename(packer.source / "configuration")
    assert packer()
    (packer.source / "weights").chmod(0o755)
    assert packer()
    (packer.source / "configuration").unlink()
    assert packer()


@pytest.mark.parametrize("harm", [b"other", None])
def test_an_archive_that_somebody_else_changed_is_made_anew(
    packer: Packer, harm: bytes | None
) -> None:
    packer()
    if harm is None:
        packer.archive.unlink()
    else:
        packer.archive.write_bytes(harm)

    assert packer()


@pytest.mark.parametrize("record", [b"", b"[1]", b'{"digest": "1"}', b"\xff"])
def test_a_broken_record_is_none(packer: Packer, record: bytes) -> None:
    packer()
    packer.record.write_bytes(record)

    assert packer()
    assert not packer()


def test_a_file_that_is_gone_is_told(packer: Packer) -> None:
    missing = Member(name="weights", source=packer.source / "gone")

    with pytest.raises(ArchiveError, match=r"could not read `.*gone`: No such file"):
        pack_once([missing], packer.archive, record=packer.record)


def test_without_a_place_for_the_record_the_archive_is_made_all_the_same(packer: Packer) -> None:
    packer.record = packer.record.parent / "missing" / "packed.json"

    assert packer()
    assert packer()
