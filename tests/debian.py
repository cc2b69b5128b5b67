"""Debian's packages for tests that want the real thing; one test at a time installs."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_LOCK = Path(tempfile.gettempdir()) / "portside-tests-apt.lock"
_TIMEOUT_S = 280


def need(*programs: str, packages: tuple[str, ...]) -> None:
    """Install the packages where a program is missing; skip the test where that cannot be."""
    if not _missing(programs):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip(f"{_named(programs)} not installed, and only root may")
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _missing(programs):  # still, after whoever had the lock
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *packages)
    if _missing(programs):
        pytest.skip(f"{_named(programs)} not installed, nor can it be here")


def _missing(programs: tuple[str, ...]) -> list[str]:
    return [program for program in programs if shutil.which(program) is None]


def _named(programs: tuple[str, ...]) -> str:
    return f"`{'`, `'.join(_missing(programs))}`"


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "-o", "DPkg::Lock::Timeout=240", *arguments],
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    if done.returncode != 0:
        pytest.skip(f"`apt-get {' '.join(arguments)}` failed: {done.stderr.strip()[-300:]}")
