from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from portside.local.instance.memory_watch import INTERVAL_S, MemoryWatch, WatchedGroup
from tests.unit.local.state_fakes import FakeClock, eventually, settled

if TYPE_CHECKING:
    from pathlib import Path

GROUP = 7
MIB = 1024 * 1024
LIMIT_BYTES = 100 * MIB


class Machine:
    """A `/proc` whose processes a test makes, and the groups that they belong to."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._groups: dict[int, int] = {}
        self.clock = FakeClock()
        self.killed: list[int] = []
        self.watch = MemoryWatch(
            clock=self.clock, proc=proc, group_of=self._group_of, kill=self.killed.append
        )

    def run(
        self, pid: int, *, anonymous: int = 0, shared: int = 0, mapped: int = 0, group: int = GROUP
    ) -> None:
        """A process that holds so many MiB; of what it shares this is its share, a tenth."""
        folder = self._proc / str(pid)
        folder.mkdir(exist_ok=True)
        pages = (anonymous + shared * 10 + mapped) * MIB // os.sysconf("SC_PAGE_SIZE")
        (folder / "statm").write_text(f"999999 {pages} 1 1 0 1 0\n")
        (folder / "smaps_rollup").write_text(
            "00400000-7ffff000 ---p 00000000 00:00 0    [rollup]\n"
            f"Rss:            {(anonymous + shared * 10 + mapped) * 1024} kB\n"
            f"Pss_Anon:       {anonymous * 1024} kB\n"
            f"Pss_File:       {mapped * 1024} kB\n"
            f"Pss_Shmem:      {shared * 1024} kB\n"
        )
        self._groups[pid] = group

    def forget(self, pid: int) -> None:
        """End a process whose folder is still listed."""
        del self._groups[pid]

    def limit(self) -> WatchedGroup:
        return self.watch.add(GROUP, limit_bytes=LIMIT_BYTES)

    def _group_of(self, pid: int) -> int:
        if pid not in self._groups:
            raise ProcessLookupError
        return self._groups[pid]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_a_group_over_its_limit_is_killed_once(machine: Machine) -> None:
    machine.run(7, anonymous=101)
    before = machine.clock.monotonic()

    watched = machine.limit()
    await eventually(lambda: bool(machine.killed))
    await asyncio.sleep(0.01)

    assert machine.killed == [GROUP]
    assert watched.was_exceeded
    assert machine.clock.monotonic() - before == pytest.approx(INTERVAL_S)


async def test_all_processes_of_a_group_count_together(machine: Machine) -> None:
    machine.run(7, anonymous=60)
    machine.run(8, anonymous=60)
    machine.run(9, anonymous=500, group=9)

    machine.limit()
    await eventually(lambda: bool(machine.killed))

    assert machine.killed == [GROUP]


@pytest.mark.parametrize(
    "held",
    [
        {"anonymous": 100},
        {"anonymous": 10, "mapped": 500},
        {"anonymous": 10, "shared": 80},
    ],
    ids=["just the limit", "mapped files", "its share of what it shares"],
)
async def test_what_the_kernel_can_take_back_or_others_pay_for_is_not_too_much(
    machine: Machine, held: dict[str, int]
) -> None:
    machine.run(7, **held)

    machine.limit()

    assert not await settled(eventually(lambda: bool(machine.killed)), turns=200)


async def test_one_that_grows_later_is_found_out(machine: Machine) -> None:
    machine.run(7, anonymous=50)
    machine.limit()
    await asyncio.sleep(0.005)
    assert machine.killed == []

    machine.run(7, anonymous=90, shared=20)
    await eventually(lambda: bool(machine.killed))

    assert machine.killed == [GROUP]


async def test_processes_that_end_while_they_are_looked_at_do_not_matter(
    machine: Machine, tmp_path: Path
) -> None:
    machine.run(7, anonymous=101)
    machine.run(8, anonymous=50)
    machine.forget(8)
    machine.run(9, anonymous=50)
    (tmp_path / "9" / "statm").unlink()
    (tmp_path / "9" / "smaps_rollup").unlink()

    machine.limit()
    await eventually(lambda: bool(machine.killed))

    assert machine.killed == [GROUP]


async def test_a_group_that_is_gone_is_not_killed_and_another_can_be_watched_later(
    machine: Machine,
) -> None:
    machine.run(7, anonymous=101)
    machine.limit().remove()
    await asyncio.sleep(0.01)
    assert machine.killed == []

    machine.limit()
    await eventually(lambda: bool(machine.killed))


def test_a_system_without_the_figures_is_known(machine: Machine, tmp_path: Path) -> None:
    assert not machine.watch.is_possible

    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "smaps_rollup").touch()
    assert machine.watch.is_possible
