"""The kernel's own limit on what a group of processes may hold, where we may set one.

    make ─▶ add the first process, its children follow ─▶ over the limit the kernel kills ─▶ remove

Control groups (cgroups(7)) are what limits a container, so this is the true thing. As a rule only
root may make them, or a desktop session whose systemd hands them over; elsewhere `memory_watch`
does what it can. Both versions of the interface are in use.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_ROOT: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")
_PREFIX: Final = "portside-"
_PROBE_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interface:
    """The names of its files; those of `settings` may be missing where there is no swap."""

    limit: str
    settings: tuple[tuple[str, str], ...]
    """With `{limit}` for the limit in bytes."""
    events: str
    """Where `oom_kill N` stands."""


_V1: Final = _Interface(
    limit="memory.limit_in_bytes",
    settings=(("memory.memsw.limit_in_bytes", "{limit}"),),
    events="memory.oom_control",
)
_V2: Final = _Interface(
    limit="memory.max",
    settings=(("memory.swap.max", "0"), ("memory.oom.group", "1")),
    events="memory.events",
)


class MemoryCgroup:
    """The control group of one instance."""

    def __init__(self, folder: Path, interface: _Interface, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._folder = folder
        self._interface = interface

    def add(self, pid: int) -> None:
        """Put a process in, and what it starts from now on; raises OSError, and removes it then."""
        try:
            _write(self._folder / "cgroup.procs", str(pid))
        except OSError:
            self.remove()
            raise

    @property
    def was_exceeded(self) -> bool:
        """Whether the kernel has killed in it."""
        with suppress(OSError):
            events = (self._folder / self._interface.events).read_text().splitlines()
            return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in events)
        return False

    def remove(self) -> None:
        """Remove it; where a process of it is still ending, the next one that is made does."""
        with suppress(OSError):
            self._folder.rmdir()


class MemoryCgroups:
    """Makes control groups in a folder that takes them."""

    def __init__(self, folder: Path, interface: _Interface) -> None:
        self._folder = folder
        self._interface = interface

    @classmethod
    def find(cls, *, root: Path = _ROOT, own: Path = _OWN) -> Self | None:
        """Where this process may make them; None where it may not."""
        for folder, interface in _candidates(root, own):
            found = cls(folder, interface)
            with suppress(OSError):
                found.make(f"probe-{os.getpid()}", limit_bytes=_PROBE_BYTES).remove()
                return found
        return None

    def make(self, name: str, *, limit_bytes: int) -> MemoryCgroup:
        """An empty one; raises OSError."""
        for left in self._folder.glob(f"{_PREFIX}*"):
            with suppress(OSError):  # EBUSY: it is in use
                left.rmdir()
        folder = self._folder / f"{_PREFIX}{name}"
        folder.mkdir(exist_ok=True)
        made = MemoryCgroup(folder, self._interface, limit_bytes=limit_bytes)
        try:
            _write(folder / self._interface.limit, str(limit_bytes))
        except OSError:
            made.remove()
            raise
        for file, value in self._interface.settings:
            with suppress(OSError):
                _write(folder / file, value.format(limit=limit_bytes))
        return made


def _write(file: Path, text: str) -> None:
    """Write to a file that is there: `/sys/fs/cgroup` may be an ordinary folder, too."""
    with file.open("r+") as out:
        out.write(text)


def _candidates(root: Path, own: Path) -> list[tuple[Path, _Interface]]:
    """Folders that may take groups, the likeliest first.

    Version 1 has a tree for each controller. In version 2 a group whose children are limited holds
    no processes itself, so it is rather the one above ours.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not on Linux
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        place = path.lstrip("/")
        if "memory" in controllers.split(","):
            found.append((root / "memory" / place, _V1))
        elif not controllers:
            ours = root / place
            found += [(folder, _V2) for folder in (ours.parent, ours) if folder != root.parent]
    return found
