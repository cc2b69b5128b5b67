"""Packing and unpacking as processes: killed at any moment, on a full disk, with little memory."""

from __future__ import annotations

import gzip
import io
import os
import random
import resource
import signal
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from portside.archive import ArchiveError, Member, pack, unpack
from tests.integration.small_disk import mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PACK = """
import sys
from pathlib import Path
from portside.archive import Member, pack

def stop_at_each_step(_):
    print("read", flush=True)
    sys.stdin.readline()

source, target = map(Path, sys.argv[1:])
pack([Member(name="weights", source=source)], target, progress=stop_at_each_step)
"""

UNPACK = """
import sys
from pathlib import Path
from portside.archive import unpack

unpack(*map(Path, sys.argv[1:]))
"""

PACK_AND_REPORT = """
import re, resource, sys
from pathlib import Path
from portside.archive import Member, pack

source, target = map(Path, sys.argv[1:])
pack([Member(name="weights", source=source)], target)
if sys.platform == "linux":  # where rusage counts in what the parent held
    print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def noise(path: Path, size: int) -> Path:
    path.write_bytes(random.Random(1).randbytes(size))  # noqa: S311 - data to pack
    return path


@pytest.mark.parametrize("steps", [1, 40, 80])
def test_packing_that_is_killed(steps: int, tmp_path: Path):
    weights = noise(tmp_path / "weights", 5_242_880)  # read in 80 steps
    target = tmp_path / "model.tar.gz"
    target.write_text("the earlier one")
    command = [sys.executable, "-c", PACK, str(weights), str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in range(steps):
            if step > 0:
                process.stdin.write(b"\n")
                process.stdin.flush()
            assert process.stdout.readline() == b"read\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert target.read_text() == "the earlier one"
    assert len(names(tmp_path)) == 3, "the killed run leaves its half archive"

    packed = pack([Member(name="weights", source=weights)], target)

    assert names(tmp_path) == {"weights", "model.tar.gz"}
    assert unpack(target, tmp_path / "out", digest=packed.digest) == ("weights",)


def test_unpacking_that_is_killed(tmp_path: Path):
    weights = noise(tmp_path / "weights", 3_000_000)
    archive = pack([Member(name="weights", source=weights)], tmp_path / "model.tar.gz").path
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen([sys.executable, "-c", UNPACK, str(pipe), str(tmp_path / "out")])
    with pipe.open("wb") as writer:
        writer.write(archive.read_bytes()[:2_000_000])
        writer.flush()
        # More than the pipe holds, so some of it is written already.
        process.kill()
        process.wait()
    assert not (tmp_path / "out").exists()
    assert len(names(tmp_path)) == 4, "the killed run leaves its half folder"

    unpack(archive, tmp_path / "out")

    assert names(tmp_path) == {"weights", "model.tar.gz", "pipe", "out"}
    assert (tmp_path / "out/weights").read_bytes() == weights.read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    with mounted(tmp_path / "disk", size="2m") as disk:
        yield disk


def test_a_disk_that_fills(small_disk: Path, tmp_path: Path):
    weights = noise(tmp_path / "weights", 3_000_000)
    (small_disk / "model.tar.gz").write_text("the earlier one")

    with pytest.raises(ArchiveError, match="is full") as caught:
        pack([Member(name="weights", source=weights)], small_disk / "model.tar.gz")

    assert caught.value.message.endswith(f"the disk `{small_disk}` is full")
    assert f"make room on `{small_disk}`" in (caught.value.hint or "")
    assert names(small_disk) == {"model.tar.gz"}
    assert (small_disk / "model.tar.gz").read_text() == "the earlier one"


def test_a_disk_that_fills_while_unpacking(small_disk: Path, tmp_path: Path):
    weights = noise(tmp_path / "weights", 3_000_000)
    archive = pack([Member(name="weights", source=weights)], tmp_path / "model.tar.gz").path

    with pytest.raises(ArchiveError, match="No space left on device"):
        unpack(archive, small_disk / "out")

    assert not names(small_disk)


def test_a_file_that_may_not_grow(tmp_path: Path):
    """The same by a limit that needs no root."""
    weights = noise(tmp_path / "weights", 3_000_000)
    done = subprocess.run(
        [sys.executable, "-c", PACK_AND_REPORT, str(weights), str(tmp_path / "model.tar.gz")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert names(tmp_path) == {"weights"}


def sparse(path: Path, size: int) -> Path:
    """1 MiB of noise in every 16, the rest holes: takes a sixteenth of its size on disk."""
    block = random.Random(1).randbytes(1 << 20)  # noqa: S311 - data to pack
    with path.open("wb") as file:
        for place in range(0, size, 16 << 20):
            file.seek(place)
            file.write(block)
        file.truncate(size)
    return path


def test_memory_does_not_grow_with_the_size(tmp_path: Path):
    peaks = []
    for size in (16 << 20, 320 << 20):
        source = sparse(tmp_path / "weights", size)
        command = [sys.executable, "-c", PACK_AND_REPORT, str(source), str(tmp_path / "m.tar.gz")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        peaks.append(int(done.stdout))

    assert max(peaks) < 100_000_000
    assert peaks[1] - peaks[0] < 40_000_000


def write_with_tar(folder: Path, archive: Path) -> None:
    subprocess.run(["tar", "-czf", str(archive), "-C", str(folder), "."], check=True)


def write_with_python(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=".")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "deep/deeper").mkdir(parents=True)
    noise(made / "model.onnx", 2_500_000)
    (made / "tokenizer.json").write_text("{}" * 100_000)
    (made / "deep/deeper/ä b.txt").write_text("")
    (made / ("n" * 200)).write_text("a name that ustar cannot hold")
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("write", [write_with_tar, write_with_python])
def test_what_others_write_is_read(
    write: Callable[[Path, Path], None], folder: Path, tmp_path: Path
):
    write(folder, tmp_path / "theirs.tar.gz")

    unpack(tmp_path / "theirs.tar.gz", tmp_path / "out")

    assert files(tmp_path / "out") == files(folder)


def test_what_is_written_others_read(folder: Path, tmp_path: Path):
    members = [Member(name=name, source=folder / name) for name in files(folder)]
    archive = pack(members, tmp_path / "model.tar.gz").path

    check = subprocess.run(
        ["gzip", "-tv", str(archive)], capture_output=True, text=True, check=False
    )
    assert (check.returncode, check.stderr.split()[-1]) == (0, "OK")
    (tmp_path / "out").mkdir()
    unpacked = subprocess.run(
        ["tar", "-xzf", str(archive), "-C", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not unpacked.stderr
    assert files(tmp_path / "out") == files(folder)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.read_bytes()))) as tar:
        assert [member.name for member in tar] == sorted(files(folder))
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(0, 0, "")}
