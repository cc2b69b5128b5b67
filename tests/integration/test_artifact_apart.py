"""A step in a process of its own: whole or nothing, on a full disk and when it is killed too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from portside.artifact.apart import run_apart
from portside.errors import BuildError
from tests.integration.small_disk import mounted

ROOT = Path(__file__).parents[2]

PARENT = """
import sys
from pathlib import Path
from portside.artifact.apart import run_apart
from portside.errors import BuildError

run_apart("tests.integration.apart_step", sys.argv[2:], Path(sys.argv[1]),
    failure=lambda reason, log: BuildError(reason), progress=lambda step: print(step, flush=True))
"""


def run(folder: Path, *words: str) -> list[str]:
    said: list[str] = []
    run_apart(
        "tests.integration.apart_step",
        words,
        folder,
        failure=lambda reason, log: BuildError(reason, hint=f"read `{log}`"),
        progress=said.append,
    )
    return said


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is one of the tests' own modules."""
    monkeypatch.chdir(ROOT)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_it_makes_is_there_when_it_is_whole(tmp_path: Path):
    said = run(tmp_path / "made-1", "say", "write", "scratch")

    assert said == ["under way"]
    assert names(tmp_path) == ["made-1"]
    assert names(tmp_path / "made-1") == ["graph"]


def test_a_failure_leaves_its_log_until_it_succeeds(tmp_path: Path):
    with pytest.raises(BuildError, match=r"^RuntimeError: no luck$") as raised:
        run(tmp_path / "made-1", "write", "fail")

    log = tmp_path / "made-1.log"
    assert names(tmp_path) == [log.name]
    assert str(log) in (raised.value.hint or "")
    assert "printed" in log.read_text()

    run(tmp_path / "made-1", "write")
    assert names(tmp_path) == ["made-1"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_one_that_started_it(number: signal.Signals, tmp_path: Path):
    command = [sys.executable, "-c", PARENT, str(tmp_path / "made-1"), "write", "say", "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"under way\n"
        [child] = psutil.Process(process.pid).children()
        os.kill(process.pid, number)
        process.wait()

    assert psutil.wait_procs([child], timeout=5)[1] == []
    assert not (tmp_path / "made-1").exists()
    run(tmp_path / "made-1", "write")
    assert names(tmp_path) == ["made-1"]


def test_two_at_once_make_the_same(tmp_path: Path):
    command = [sys.executable, "-c", PARENT, str(tmp_path / "made-1"), "say", "write"]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]

    assert [process.wait() for process in running] == [0, 0]
    assert names(tmp_path) == ["made-1"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", size="2m") as disk:
        yield disk


def test_a_full_disk_is_named_and_left_as_it_was(disk: Path):
    (disk / "other").write_text("somebody's")

    with pytest.raises(BuildError) as raised:
        run(disk / "cache/made-1", "fill")

    message = f"could not write `{disk}/cache/made-1`: the disk `{disk}` is full"
    assert raised.value.message == message
    assert f"make room on `{disk}`" in (raised.value.hint or "")
    assert names(disk) == ["cache", "other"]
    assert names(disk / "cache") == []
