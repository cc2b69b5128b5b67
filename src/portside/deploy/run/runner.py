"""Who runs: the process that holds a lock and signs the journal, told apart from all others."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_START_FIELD: Final = 22
"""`starttime` in /proc/PID/stat, in clock ticks since the boot. Source: proc_pid_stat(5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One process. `run` is random, so that no two are taken for one, whatever their names."""

    run: str
    user: str
    host: str
    pid: int
    place: str
    """The boot and the process namespace in which `pid` counts; empty where none can be told."""
    started: str
    """When the process began, in the kernel's own count: a number of its own may be used anew."""

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid})"


def this_runner(proc: Path = Path("/proc")) -> Runner:
    """The process that asks."""
    pid = os.getpid()
    return Runner(
        run=secrets.token_hex(6),
        user=_user(),
        host=socket.gethostname(),
        pid=pid,
        place=_place(proc),
        started=_started(proc, pid),
    )


def is_gone(runner: Runner, proc: Path = Path("/proc")) -> bool:
    """Whether a process is known to have ended; not of another machine, container or boot.

    Host names do not do: build servers share them.
    """
    return bool(
        runner.place
        and runner.place == _place(proc)
        and _started(proc, runner.pid) != runner.started
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for the number, as in many containers
        return str(os.getuid())


def _place(proc: Path) -> str:
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(proc / 'self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return ""


def _started(proc: Path, pid: int) -> str:
    """Empty where there is no such process, or one that has ended and waits for its parent."""
    try:
        stat = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return ""
    # The name of the program, in parentheses, may hold blanks and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[_START_FIELD - 3]
