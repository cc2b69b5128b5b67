"""How much memory the instance may use, how much it uses, and how it gives some back.

The limit is the smallest of what can be known: the cgroup's (both versions, the
groups above included), and what the machine has free. Linux only; elsewhere
nothing is known, and nothing is limited.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from portside.serving.error import OutOfMemoryError

_MB: Final = 2**20

_ROOT: Final = Path("/")

_SPARE: Final = 0.1
"""Of the limit, for requests and for what loading takes besides the model: the process that goes
over a cgroup's limit is killed without a word."""

_PRIOR_BYTES: Final = 256 * _MB
_PRIOR_FACTOR: Final = 1.5
"""Resident bytes for each byte on disk, before much was loaded: onnxruntime keeps weights once, and
packs those of matrix products a second time. A first model brings its framework as well, whose
tens of megabytes say nothing of the next one: the prior weighs as much as 256 MB of models."""

_FACTOR_RANGE: Final = (1.0, 4.0)
"""What is learned stays in it: memory that an unloaded model left to the allocator makes a model
look small, and a model that computes its weights would make every other one look huge."""


class MemoryBudget:
    """What models may take together, and what one is going to take, by those loaded so far.

    `limit_bytes` is for models alone, None for no limit; `resident` tells the process's memory.
    What the models take is what the process has grown by since it began.
    """

    def __init__(
        self, limit_bytes: int | None, *, resident: Callable[[], int] | None = None
    ) -> None:
        self._limit_bytes = limit_bytes
        self._resident = resident or resident_bytes
        self._base = self._resident()
        self._loaded_bytes: float = _PRIOR_BYTES
        self._grown_bytes: float = _PRIOR_BYTES * _PRIOR_FACTOR

    @property
    def used_bytes(self) -> int:
        """What the models take now."""
        return max(0, self._resident() - self._base)

    def estimate_bytes(self, disk_bytes: int) -> int:
        """What a model of that size on disk is going to take."""
        low, high = _FACTOR_RANGE
        return int(disk_bytes * min(high, max(low, self._grown_bytes / self._loaded_bytes)))

    def check(self, disk_bytes: int) -> None:
        """Raise OutOfMemoryError if a model of that size on disk is not likely to fit."""
        needed, used = self.estimate_bytes(disk_bytes), self.used_bytes
        if self._limit_bytes is not None and used + needed > self._limit_bytes:
            raise OutOfMemoryError(
                f"no room for a model of about {_mb(needed)}: "
                f"{_mb(used)} of {_mb(self._limit_bytes)} are taken"
            )

    def admit(self, disk_bytes: int, *, used_before_bytes: int) -> int:
        """Learn from a model that was loaded, and return the bytes that it takes.

        Raises OutOfMemoryError if it has gone over the limit.
        """
        used = self.used_bytes
        if self._limit_bytes is not None and used > self._limit_bytes:
            raise OutOfMemoryError(
                f"the model takes {_mb(used - used_before_bytes)}, "
                f"more than was left of {_mb(self._limit_bytes)}"
            )
        grown = max(0, used - used_before_bytes)
        self._loaded_bytes += disk_bytes
        self._grown_bytes += grown
        return grown


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / _MB:.0f} MB"


# --- What there is --------------------------------------------------------------


def models_limit_bytes(root: Path = _ROOT) -> int | None:
    """What a process that has loaded nothing yet may take for models; None if nobody knows.

    `root` is where `/proc` and `/sys` lie.
    """
    limits = [
        limit - resident_bytes(root)
        for limit in (*_cgroup_limits(root), _available_bytes(root))
        if limit is not None
    ]
    return max(0, int(min(limits) * (1 - _SPARE))) if limits else None


def resident_bytes(root: Path = _ROOT) -> int:
    """Of this process; 0 where there is no `/proc`."""
    try:
        pages = (root / "proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _available_bytes(root: Path) -> int | None:
    """What the process could grow to before the machine would have to swap."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024 + resident_bytes(root)
    return None


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Those of the process's memory group and of all above it."""
    for folder, name in _cgroup_files(root):
        try:
            text = (folder / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():  # version 2 says `max`, version 1 a number beyond any machine's memory
            yield int(text)


def _cgroup_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Where the limits would be: https://man7.org/linux/man-pages/man7/cgroups.7.html.

    Inside a container the paths may be those of the host and lead nowhere; then the mount point
    itself is the container's group.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    mount = root / "sys/fs/cgroup"
    for line in lines:
        number, controllers, path = line.split(":", 2)
        group = Path(path.lstrip("/"))
        if number == "0":
            folder, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        for part in (group, *group.parents):
            yield folder / part, name


# --- Keeping, and giving back ---------------------------------------------------

_NEW_OBJECTS: Final = 10_000
"""After so many more than were freed, Python looks for cycles."""

_PYTHONS_OWN: Final = gc.get_threshold()
"""700 new ones, and how often it looks at older ones."""


def keep_loaded() -> None:
    """Let Python's search for cycles leave alone what is there now, and begin more rarely.

    Modules and models stay for as long as the instance, and what a request makes is gone with its
    answer: the search took an eighth of a small request's time, and found nothing.
    """
    gc.freeze()
    if gc.get_threshold() == _PYTHONS_OWN:  # else the user's code knows better
        gc.set_threshold(_NEW_OBJECTS)


def release_memory() -> None:
    """Give back to the system what nobody refers to any more. Takes a moment."""
    gc.collect()
    try:
        # glibc keeps what is freed for itself, unless told otherwise.
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


_SIGNS: Final = ("out of memory", "not enough memory", "allocate memory", "bad allocation")
"""What CUDA, torch and onnxruntime say, whose errors are RuntimeErrors or no class of their own."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is about a lack of memory."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, MemoryError | OutOfMemoryError) or any(s in text for s in _SIGNS):
            return True
        error = error.__cause__
    return False
