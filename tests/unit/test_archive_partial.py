"""A file that is written beside its name, on a disk that may be full."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from portside.archive import ArchiveError
from portside.archive.disk import ran_full, writing
from portside.archive.partial import write_whole


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path: Path):
    file = tmp_path / "report.json"
    file.write_text("the earlier one")
    (tmp_path / ".report.json.0123abcd.partial").write_text("half")

    write_whole(file, b"the new one")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "report.json": "the new one"
    }


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path):
    (tmp_path / "report.json").mkdir()

    with pytest.raises(ArchiveError, match=r"could not write `.*report.json`: .*[Dd]irectory"):
        write_whole(tmp_path / "report.json", b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(number: int, tmp_path: Path):
    with pytest.raises(ArchiveError) as raised, writing(tmp_path / "model"):
        raise OSError(number, "in the system's words")

    message, hint = raised.value.message, raised.value.hint or ""
    start = f"could not write `{tmp_path}/model`: the disk `"
    assert message.startswith(start)
    disk = message.removeprefix(start).removesuffix("` is full")
    assert Path(disk).is_mount()
    assert f"make room on `{disk}`" in hint


def test_what_a_program_says_tells_whether_it_had_room(tmp_path: Path):
    assert ran_full(tmp_path, "OSError: [Errno 28] No space left on device: 'model.onnx'")
    assert not ran_full(tmp_path, "RuntimeError: no luck")
