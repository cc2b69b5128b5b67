"""The data folder: keys that stay, a lock that keeps others out, an announcement that is true."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
from pathlib import Path

import pytest

from portside.errors import PortsideError
from portside.local import data_folder
from portside.local.data_folder import DataFolder, Running
from portside.local.instance import leftover


def running(pid: int = 0) -> Running:
    pid = pid or os.getpid()
    return Running(
        pid=pid,
        process_start_time=leftover.start_time(pid) or "",
        url="http://127.0.0.1:4566",
        engine="auto",
        host="127.0.0.1",
        port=4566,
        s3="own",
        account="000000000000",
        region="us-east-1",
        started_at="2026-11-22T12:00:00+00:00",
    )


def test_keys_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)

    keys = data_folder.keep_keys(folder)

    assert data_folder.keep_keys(folder) == keys
    assert data_folder.read_keys(folder) == keys
    assert re.fullmatch(r"PSIDLOCAL[A-Z0-9]{11}", keys.access_key_id)
    assert stat.S_IMODE(folder.keys_file.stat().st_mode) == 0o600


def test_secrets_are_words_to_any_command_line(tmp_path: Path) -> None:
    for number in range(20):
        folder = DataFolder(tmp_path / str(number))
        folder.path.mkdir()

        assert re.fullmatch("[A-Za-z0-9]{40}", data_folder.keep_keys(folder).secret_access_key)


def test_keys_that_cannot_be_written_are_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / ".keys.json.draft").mkdir()  # as good as a full disk

    with pytest.raises(PortsideError, match=r"could not write the access keys to `.*keys\.json`"):
        data_folder.keep_keys(DataFolder(tmp_path))


def test_keys_differ_from_folder_to_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    assert data_folder.keep_keys(DataFolder(tmp_path)) != data_folder.keep_keys(
        DataFolder(tmp_path / "other")
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "`access_key_id` is missing"),
        ("[" * 100_000, "it is nested too deep"),
        ('{"access_key_id": "a"}', "`secret_access_key` is missing"),
    ],
)
def test_damaged_keys_are_an_error_with_a_way_out(
    tmp_path: Path, content: str, reason: str
) -> None:
    folder = DataFolder(tmp_path)
    folder.keys_file.write_text(content)

    with pytest.raises(PortsideError) as caught:
        data_folder.keep_keys(folder)

    assert f"could not read the access keys in `{folder.keys_file}`" in caught.value.message
    assert reason in caught.value.message
    assert "remove" in (caught.value.hint or "")


def test_a_folder_is_made_and_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"

    with data_folder.hold(path) as folder:
        assert folder.path == path
        with (
            pytest.raises(PortsideError, match=f"process {os.getpid()} uses it") as caught,
            data_folder.hold(path),
        ):
            pass

    assert caught.value.hint == f"stop it with `portside local stop --data {path}`"
    with data_folder.hold(path):
        pass


@pytest.mark.parametrize("path", ["file", "file/below", "circle", "locked", "/proc/new"])
def test_a_path_that_cannot_be_a_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "locked" / "lock").mkdir(parents=True)

    with (
        pytest.raises(
            PortsideError, match=f"could not use `.*{path}` as the data folder"
        ) as caught,
        data_folder.hold(tmp_path / path),
    ):
        pass

    assert caught.value.hint == "name another with `--data DIR`"


@pytest.mark.parametrize(
    ("holds", "mode"), [(None, 0o700), ("start.log", 0o700), ("holiday.jpg", 0o755)]
)
def test_a_new_folder_is_made_private_and_no_other(
    tmp_path: Path, holds: str | None, mode: int
) -> None:
    tmp_path.chmod(0o755)
    if holds is not None:
        (tmp_path / holds).touch()

    with data_folder.hold(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == mode


def test_who_is_announced_is_found_until_withdrawn(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    data_folder.announce(folder, running())

    assert data_folder.find_running(folder) == running()
    data_folder.withdraw(folder)
    assert data_folder.find_running(folder) is None


def test_who_was_killed_is_not_found_even_if_another_has_the_pid(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    data_folder.announce(folder, dataclasses.replace(running(), process_start_time="1"))

    assert data_folder.find_running(folder) is None


def test_half_an_announcement_is_none(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.running_file.write_text(json.dumps({"pid": os.getpid()}))

    assert data_folder.find_running(folder) is None


def test_clear_leaves_keys_and_log(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    data_folder.keep_keys(folder)
    for file in (folder.gateway_log, folder.store_file, tmp_path / "state.sqlite3-wal"):
        file.touch()
    (folder.objects / "deep").mkdir(parents=True)
    folder.journal_file.touch()

    folder.clear()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["gateway.log", "keys.json"]
