"""A disk that fills up at once, where one can be had."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(disk: Path, *, size: str) -> Iterator[Path]:
    """A file system of `size`, as mount(8) has it; skips where there can be none."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here: that takes root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
