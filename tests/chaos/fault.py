"""What goes wrong, by chance: processes killed or frozen, a disk that fills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.ledger import Ledger
    from tests.chaos.life import Life

_BETWEEN_S: Final = (2.0, 8.0)
_FULL_S: Final = (1.0, 4.0)
_BLOCK: Final = bytes(1024 * 1024)
DISK_BYTES: Final = 1024 * 1024 * 1024


class Troublemaker:
    """Brings about one fault after another; each is over, or mended, when the next comes."""

    def __init__(self, life: Life, ledger: Ledger, *, disk: Path | None, seed: int) -> None:
        self._life = life
        self._ledger = ledger
        self._disk = disk
        self._chance = random.Random(seed)  # noqa: S311  moments, not secrets

    def run(self, until: float) -> None:
        """Make trouble until a moment on the monotonic clock."""
        faults = {
            self.kill_an_instance: 5,
            self.freeze_an_instance: 1,
            self.kill_the_object_store: 2,
            self.kill_the_gateway: 2,
            self.fill_the_disk: 1 if self._disk else 0,
        }
        while time.monotonic() < until:
            time.sleep(self._chance.uniform(*_BETWEEN_S))
            (fault,) = self._chance.choices(list(faults), weights=list(faults.values()))
            self._ledger.count(f"fault: {fault.__name__}")
            fault()

    def kill_an_instance(self) -> None:
        self._signal("portside.serving", signal.SIGKILL)

    def freeze_an_instance(self) -> None:
        self._signal("portside.serving", signal.SIGSTOP)

    def kill_the_object_store(self) -> None:
        self._signal("weed", signal.SIGKILL)

    def kill_the_gateway(self) -> None:
        self._life.kill()
        time.sleep(self._chance.uniform(0, 1))
        self._life.start()

    def fill_the_disk(self) -> None:
        if self._disk is None:
            return
        ballast = self._disk / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                while file.write(_BLOCK):
                    pass
        except OSError:  # full
            time.sleep(self._chance.uniform(*_FULL_S))
        finally:
            ballast.unlink(missing_ok=True)

    def _signal(self, word: str, number: int) -> None:
        candidates = [each for each in self._life.descendants() if _is_named(each, word)]
        if candidates:
            os.kill(self._chance.choice(candidates).pid, number)


def _is_named(process: psutil.Process, word: str) -> bool:
    try:
        return any(word in part for part in process.cmdline())
    except psutil.Error:
        return False


def mount_small_disk(folder: Path) -> bool:
    """A file system of its own that can be filled; False where that is not allowed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Give it back."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
