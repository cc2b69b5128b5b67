"""Clients that are not Python packages of ours: found, or installed once per checkout.

What pip and npm bring lies below `.portside/clients`; what apt brings, on the machine, and
only where a test runs as root, as in a container. Who cannot be had skips its tests.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import debian

CACHE = Path(__file__).parents[2] / ".portside" / "clients"

AWSCLI = "1.46.3"
NEWMAN = "6.2.2"
JAVASCRIPT_SDK = "3.1164.0"


def aws() -> str:
    """The AWS CLI, in an environment of its own: its dependencies are not ours."""
    folder = CACHE / f"awscli-{AWSCLI}"
    program = folder / "bin" / "aws"
    if not program.exists():
        _install([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _install([*pip, f"awscli=={AWSCLI}"])
    return str(program)


def newman() -> str:
    """Postman's runner."""
    folder = CACHE / f"newman-{NEWMAN}"
    program = folder / "node_modules" / ".bin" / "newman"
    _install_from_npm(f"newman@{NEWMAN}", to=folder, brings=program)
    return str(program)


def javascript_sdk() -> Path:
    """A folder whose modules find AWS's SDK for predictions."""
    folder = CACHE / f"javascript-sdk-{JAVASCRIPT_SDK}"
    name = "@aws-sdk/client-sagemaker-runtime"
    brings = folder / "node_modules" / name / "package.json"
    _install_from_npm(f"{name}@{JAVASCRIPT_SDK}", to=folder, brings=brings)
    return folder


def system(name: str, *, package: str) -> str:
    """A program of the system, installed from its Debian package where it is missing."""
    debian.need(name, packages=(package,))
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"`{name}` is not installed, nor can it be here")
    return found


def _install_from_npm(package: str, *, to: Path, brings: Path) -> None:
    system("node", package="nodejs")
    if not brings.exists():
        npm = [system("npm", package="npm"), "install", "--silent", "--no-audit", "--no-fund"]
        to.mkdir(parents=True, exist_ok=True)
        _install([*npm, "--prefix", str(to), package])


def _install(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    if done.returncode != 0:
        pytest.skip(f"`{' '.join(command)}` failed: {done.stderr.strip()[-300:]}")
