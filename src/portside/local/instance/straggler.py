"""Processes that left their instance's group, and are found by a mark in their environment.

What an instance starts is in its process group and ends with it, but for what made a session
of its own: a daemon, a worker that was started with `setsid`. Its environment it was handed
down all the same, and Linux shows that of every process (proc(5)). Who clears the environment
gets away: this is tidiness, no wall.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MARK: Final = "PORTSIDE_INSTANCE_FOLDER"
_PROC: Final = Path("/proc")
_ROUNDS: Final = 5
"""One that is found may have started another meanwhile, so they are looked for again."""
_PAUSE_S: Final = 0.02
"""In which the kernel lets go of what was killed: its control group cannot be removed before."""


def mark(folder: Path) -> dict[str, str]:
    """What stands in the environment of an instance with this folder."""
    return {_MARK: str(folder)}


def end(folders: Iterable[Path]) -> None:
    """SIGKILL to what the instances of these folders left running; on Linux alone.

    It blocks, a moment longer where it has found something.
    """
    marks = {f"{_MARK}={folder}".encode() for folder in folders}
    if not marks or not (_PROC / "self" / "environ").exists():
        return
    for _ in range(_ROUNDS):
        found = list(_marked(marks))
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _marked(marks: set[bytes]) -> Iterator[int]:
    for process in _PROC.iterdir():
        if process.name.isdecimal():
            with suppress(OSError):  # it ended just now, or is not ours
                if not marks.isdisjoint((process / "environ").read_bytes().split(b"\0")):
                    yield int(process.name)
