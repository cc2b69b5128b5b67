"""Memory limits of instances that are processes, by the kernel and by the watch."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from portside.local.clock import SystemClock
from portside.local.instance.instance import InstanceSpec
from portside.local.instance.memory_cgroup import MemoryCgroups
from portside.local.instance.process import ProcessLauncher
from portside.local.log.log_store import LogStore

if TYPE_CHECKING:
    from pathlib import Path

GROUP, STREAM = "/aws/sagemaker/Endpoints/ner", "AllTraffic/i-1"
MIB = 1024 * 1024
LIMIT_BYTES = 128 * MIB
LAST_WORDS = "The container exited with code 137: it went over its memory limit of 128 MB"

HOG = f"held = b'x' * {200 * MIB}; import time; time.sleep(20)"
CHILD_HOG = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {HOG!r}]).wait()
print("alone", flush=True)
sys.exit(1)
"""


@pytest.fixture(params=["kernel", "watch"])
def cgroups(request: pytest.FixtureRequest) -> MemoryCgroups | None:
    if request.param == "watch":
        return None
    found = MemoryCgroups.find()
    if found is None:
        pytest.skip("this machine does not let us make control groups for memory")
    return found


async def run(folder: Path, program: str, cgroups: MemoryCgroups | None) -> tuple[int, list[str]]:
    """The exit code and the log of an instance that runs a program with little memory."""
    logs = LogStore(folder / "logs")
    launcher = ProcessLauncher(
        folder=folder / "instances",
        logs=logs,
        clock=SystemClock(),
        command=(sys.executable, "-c", program),
        memory_cgroups=cgroups,
    )
    spec = InstanceSpec(
        instance_id="i-1",
        image="image",
        environment={},
        model_dir=folder,
        region="eu-west-1",
        log_group=GROUP,
        log_stream=STREAM,
        memory_limit_bytes=LIMIT_BYTES,
    )
    process = await launcher.launch(spec)
    async with asyncio.timeout(15):
        code = await process.wait()
    return code, [event.message for event in logs.events(GROUP, STREAM)]


async def test_one_that_takes_too_much_is_killed_and_its_log_says_why(
    tmp_path: Path, cgroups: MemoryCgroups | None
) -> None:
    code, log = await run(tmp_path, HOG, cgroups)

    assert code == -9
    assert log == [LAST_WORDS]


async def test_what_it_starts_counts_too(tmp_path: Path, cgroups: MemoryCgroups | None) -> None:
    code, log = await run(tmp_path, CHILD_HOG, cgroups)

    if cgroups is None:
        assert (code, log) == (-9, [LAST_WORDS])
    else:  # the kernel of control groups' first version kills the one that took it
        assert (code, log[0]) in {(1, "alone"), (-9, LAST_WORDS)}


async def test_addresses_that_are_only_reserved_do_not_count(
    tmp_path: Path, cgroups: MemoryCgroups | None
) -> None:
    reserve = f"import mmap, time; held = mmap.mmap(-1, {4096 * MIB}); time.sleep(0.6); print('ok')"

    code, log = await run(tmp_path, reserve, cgroups)

    assert (code, log[0]) == (0, "ok")


async def test_a_second_one_of_the_same_name_can_be_made(tmp_path: Path) -> None:
    found = MemoryCgroups.find()
    if found is None:
        pytest.skip("this machine does not let us make control groups for memory")
    first = found.make("twice", limit_bytes=LIMIT_BYTES)
    second = found.make("twice", limit_bytes=LIMIT_BYTES)

    assert not first.was_exceeded
    second.remove()
    with pytest.raises(OSError, match="No such file"):
        first.add(1)
