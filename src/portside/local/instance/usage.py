"""What process groups have used of the machine, as the kernel counts it: proc(5)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_USER_TIME: Final = 11
_SYSTEM_TIME: Final = 12
_RESIDENT: Final = 21
"""Places in `/proc/PID/stat` behind the name, which may hold any character but ends with `)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Of all processes of a group that run now: processor time so far, and memory."""

    cpu_s: float = 0.0
    memory_bytes: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            cpu_s=self.cpu_s + other.cpu_s, memory_bytes=self.memory_bytes + other.memory_bytes
        )


def measure(
    groups: Collection[int],
    *,
    proc: Path = _PROC,
    group_of: Callable[[int], int] = os.getpgid,
) -> dict[int, Usage]:
    """What each of these groups uses, by its id; of those that run, on a system with a `/proc`."""
    found: dict[int, Usage] = {}
    if not groups or not proc.is_dir():
        return found
    for process in proc.iterdir():
        if process.name.isdecimal():
            with suppress(OSError):  # it ended just now
                group = group_of(int(process.name))
                if group in groups:
                    found[group] = found.get(group, Usage()) + _of_process(process)
    return found


def _of_process(process: Path) -> Usage:
    fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
    ticks = int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
    return Usage(cpu_s=ticks / _TICKS_A_SECOND, memory_bytes=int(fields[_RESIDENT]) * _PAGE_BYTES)
