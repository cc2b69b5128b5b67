"""A virtual environment for each peer: their pins must not pull on Portside's or on each other."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bench.place import WORK, say


def make_venv(requirements: Path) -> Path:
    """The Python of an environment with these pins, made unless it is there from an earlier run."""
    name = requirements.parent.name
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:10]
    folder = WORK / "venvs" / f"{name}-{digest}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        say(f"installing {name} into an environment of its own")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(requirements)], check=True)
        done.touch()
    return python


def pinned(requirements: Path) -> dict[str, str]:
    """Package to version, as the file pins them."""
    lines = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
    pairs = (line.partition("==")[::2] for line in lines if "==" in line)
    return dict(pairs)
