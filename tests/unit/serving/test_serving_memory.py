"""What the instance may use, read from files; what it learns of models."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

import pytest

from portside.serving.error import OutOfMemoryError
from portside.serving.memory import (
    MemoryBudget,
    is_out_of_memory,
    models_limit_bytes,
    release_memory,
    resident_bytes,
)

if TYPE_CHECKING:
    from pathlib import Path

MB = 2**20
RESIDENT = 10 * MB


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with 1000 MB free, and a process that takes 10."""
    pages = RESIDENT // os.sysconf("SC_PAGE_SIZE")
    write(tmp_path / "proc/self/statm", f"99999 {pages} 1 1 0 1 0")
    write(
        tmp_path / "proc/meminfo",
        f"MemTotal: {4096 * 1024} kB\nMemFree: 1 kB\nMemAvailable: {1000 * 1024} kB\n",
    )
    return tmp_path


# --- What there is --------------------------------------------------------------


def test_without_a_group_it_is_what_the_machine_has_free(root: Path):
    assert resident_bytes(root) == RESIDENT
    assert models_limit_bytes(root) == 900 * MB


def test_a_container_is_limited_by_its_group(root: Path):
    write(root / "proc/self/cgroup", "0::/\n")
    write(root / "sys/fs/cgroup/memory.max", f"{510 * MB}\n")
    assert models_limit_bytes(root) == 450 * MB


def test_groups_above_limit_too(root: Path):
    write(root / "proc/self/cgroup", "0::/system.slice/it.service\n")
    write(root / "sys/fs/cgroup/system.slice/it.service/memory.max", "max\n")
    write(root / "sys/fs/cgroup/system.slice/memory.max", f"{210 * MB}\n")
    assert models_limit_bytes(root) == 180 * MB


@pytest.mark.parametrize("path", ["docker/12ab", ""])
def test_version_1_in_a_container_whose_path_leads_nowhere_and_in_one_that_sees_it(
    root: Path, path: str
):
    write(root / "proc/self/cgroup", "9:cpu,cpuacct:/docker/12ab\n4:memory:/docker/12ab\n0::/\n")
    write(root / "sys/fs/cgroup/memory" / path / "memory.limit_in_bytes", f"{110 * MB}\n")
    assert models_limit_bytes(root) == 90 * MB


def test_no_limit_is_no_limit(root: Path):
    write(root / "proc/self/cgroup", "4:memory:/\n0::/\n")
    write(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(root / "sys/fs/cgroup/memory.max", "max\n")
    assert models_limit_bytes(root) == 900 * MB


def test_a_group_that_is_full_already_has_no_room(root: Path):
    write(root / "proc/self/cgroup", "0::/\n")
    write(root / "sys/fs/cgroup/memory.max", f"{5 * MB}\n")
    assert models_limit_bytes(root) == 0


def test_where_nothing_is_known_nothing_is_limited(tmp_path: Path):
    assert models_limit_bytes(tmp_path) is None
    assert resident_bytes(tmp_path) == 0
    MemoryBudget(None).check(2**60)


# --- The budget -----------------------------------------------------------------


class Process:
    def __init__(self) -> None:
        self.resident = RESIDENT

    def __call__(self) -> int:
        return self.resident


def test_what_the_process_took_before_does_not_count():
    process = Process()
    budget = MemoryBudget(100 * MB, resident=process)
    assert budget.used_bytes == 0
    process.resident += 30 * MB
    assert budget.used_bytes == 30 * MB
    process.resident = 0
    assert budget.used_bytes == 0


def test_the_estimate_follows_what_models_turn_out_to_take():
    process = Process()
    budget = MemoryBudget(None, resident=process)
    first = budget.estimate_bytes(100 * MB)
    assert first == 150 * MB
    for _ in range(20):
        before = budget.used_bytes
        process.resident += 300 * MB
        assert budget.admit(100 * MB, used_before_bytes=before) == 300 * MB
    assert 250 * MB < budget.estimate_bytes(100 * MB) <= 300 * MB


@pytest.mark.parametrize(("grown_mb", "estimate_mb"), [(0, 100), (100_000, 400)])
def test_models_that_are_like_no_other_do_not_spoil_the_estimate(grown_mb: int, estimate_mb: int):
    process = Process()
    budget = MemoryBudget(None, resident=process)
    for _ in range(20):
        before = budget.used_bytes
        process.resident += grown_mb * MB
        budget.admit(100 * MB, used_before_bytes=before)
    assert budget.estimate_bytes(100 * MB) == estimate_mb * MB


def test_a_model_that_fills_the_limit_is_in_and_the_next_byte_is_out():
    process = Process()
    budget = MemoryBudget(150 * MB, resident=process)
    budget.check(100 * MB)
    process.resident += 150 * MB
    budget.admit(100 * MB, used_before_bytes=0)
    with pytest.raises(OutOfMemoryError, match="150 MB of 150 MB"):
        budget.check(1)
    process.resident += 1
    with pytest.raises(OutOfMemoryError):
        budget.admit(1, used_before_bytes=0)


# --- Errors ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("no room"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory"),
        RuntimeError("Failed to allocate memory for requested buffer of size 4096"),
        RuntimeError("std::bad_alloc: Bad allocation"),
    ],
)
def test_a_lack_of_memory_is_told_also_behind_other_errors(error: Exception):
    assert is_out_of_memory(error)
    outer = ValueError("cannot load")
    outer.__cause__ = error
    assert is_out_of_memory(outer)


def test_other_errors_are_no_lack_of_memory():
    assert not is_out_of_memory(ValueError("no such layer"))
    assert not is_out_of_memory(None)


def test_what_refers_to_itself_alone_is_released():
    class Model:
        def __init__(self) -> None:
            self.itself = self

    alive = weakref.ref(Model())
    release_memory()
    assert alive() is None
