"""Processes of an earlier life: written down when started, ended at the next start.

On Linux children die with the local SageMaker (see `leash`), but what they have
started does not; elsewhere they live on too. A process id alone may belong to
somebody else by now, so the start time is kept with it and compared. A group
whose leader is gone is ended only where it must be the same one: in the same
boot of Linux, which gives no new process the id of a group that still has members.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

_FIELDS_BEFORE_START_TIME: Final = 19
"""Of `/proc/PID/stat` after the command's closing parenthesis: starttime is field 22. proc(5)."""


_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def start_time(pid: int) -> str | None:
    """When a process started, in the system's own spelling; None when there is none."""
    if Path("/proc/self/stat").exists():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # A zombie has ended and only waits for a parent that may never ask.
            return None if fields[0] == "Z" else fields[_FIELDS_BEFORE_START_TIME]
        return None
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def write_down(file: Path, *, pid: int) -> None:
    """Keep who was started, for `end`."""
    kept = {"pid": pid, "start_time": start_time(pid), "boot_id": _boot_id()}
    file.write_text(json.dumps(kept))


def end(file: Path) -> None:
    """Kill the process group that was written down, or what is left of it."""
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):  # written half, or not at all
        return
    boot_id, now = _boot_id(), start_time(kept["pid"])
    is_leaderless = now is None and boot_id is not None and kept.get("boot_id") == boot_id
    if is_leaderless or (now is not None and now == kept["start_time"]):
        with suppress(ProcessLookupError):
            os.killpg(kept["pid"], signal.SIGKILL)


def _boot_id() -> str | None:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else None
