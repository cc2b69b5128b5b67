"""Ends process groups that take more memory than they may have.

    every 0.25 s ─▶ what each group holds ─▶ over its limit? ─▶ SIGKILL to the group

A limit of the kernel's on a process (RLIMIT_AS, RLIMIT_DATA) would not do: it counts addresses,
of which torch and onnxruntime reserve many times what they ever use, and a refused reservation
is an exception in the model's code and not the end of the instance, as it is on AWS. Where the
kernel lets us set a limit that would do, `memory_cgroup` does.

What is counted is what the kernel cannot take back, as in a container's limit: memory of the
processes' own and shared memory, each shared page once (proc(5), smaps_rollup). Pages of mapped
files, such as a model's weights, it can read again, so they do not count. A group that grows
very fast is found out up to one interval late.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portside.local.clock import Clock

INTERVAL_S: Final = 0.25

_PROC: Final = Path("/proc")
_KIB: Final = 1024
_COUNTED: Final = (b"Pss_Anon:", b"Pss_Shmem:")
_RESIDENT: Final = 1
"""Of `/proc/PID/statm`: the second of its fields. proc(5)."""
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):  # it ended just now
        os.killpg(group, signal.SIGKILL)


@dataclass(slots=True, kw_only=True)
class WatchedGroup:
    """A process group with its limit."""

    limit_bytes: int
    remove: Callable[[], None]
    """Look at it no more."""
    was_exceeded: bool = False
    """Whether it was killed because it went over the limit."""


class MemoryWatch:
    """Looks at the groups that it was given, for as long as there are any."""

    def __init__(
        self,
        *,
        clock: Clock,
        proc: Path = _PROC,
        group_of: Callable[[int], int] = os.getpgid,
        kill: Callable[[int], None] = _kill_group,
    ) -> None:
        self._clock = clock
        self._proc = proc
        self._group_of = group_of
        self._kill = kill
        self._groups: dict[int, WatchedGroup] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_possible(self) -> bool:
        """Whether this system tells what its processes hold; Linux does."""
        return (self._proc / "self" / "smaps_rollup").exists()

    def add(self, group: int, *, limit_bytes: int) -> WatchedGroup:
        """From now on look at this group, and kill it when it holds more than that."""
        watched = WatchedGroup(limit_bytes=limit_bytes, remove=partial(self._forget, group))
        self._groups[group] = watched
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        return watched

    def _forget(self, group: int) -> None:
        self._groups.pop(group, None)

    async def _watch(self) -> None:
        while self._groups:
            await self._clock.sleep(INTERVAL_S)
            for group, processes in self._members().items():
                watched = self._groups[group]
                if _total(_resident_bytes, processes) <= watched.limit_bytes:
                    continue  # cheap to read, and never less than what counts
                if _total(_held_bytes, processes) > watched.limit_bytes:
                    watched.was_exceeded = True
                    watched.remove()
                    self._kill(group)

    def _members(self) -> dict[int, list[Path]]:
        """The processes of each group; none of one that has ended."""
        members = defaultdict(list)
        for process in self._proc.iterdir():
            if process.name.isdecimal():
                with suppress(ProcessLookupError, PermissionError):  # it ended just now
                    group = self._group_of(int(process.name))
                    if group in self._groups:
                        members[group].append(process)
        return members


def _total(measure: Callable[[Path], int], processes: Iterable[Path]) -> int:
    total = 0
    for process in processes:
        with suppress(OSError):  # it ended just now
            total += measure(process)
    return total


def _resident_bytes(process: Path) -> int:
    """All pages in memory, those of files and those that it shares in full too."""
    return int((process / "statm").read_bytes().split()[_RESIDENT]) * _PAGE_BYTES


def _held_bytes(process: Path) -> int:
    """What the kernel cannot take back, its share of what it shares."""
    lines = (process / "smaps_rollup").read_bytes().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(_COUNTED)) * _KIB
