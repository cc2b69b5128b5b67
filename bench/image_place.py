"""What images are measured with: bases of Debian's packages, wheels, a registry of this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.place import ROOT, WORK, say
from bench.server import HOST

FOLDER: Final = WORK / "image"
TUTORIAL: Final = ROOT / "bench" / "baseline"
TORCH: Final = f"torch=={version('torch')}"
"""The build that the baseline runs with here."""

_TIMEOUT_S: Final = 20.0


def make_base(architecture: str) -> Path:
    """Debian with Python, pip and a shell, as a tutorial's `FROM python:3.11` has them.

    For another processor without what needs programs of the base to be run: the shell.
    """
    tar = FOLDER / f"base-{architecture}.tar"
    if tar.exists():
        return tar
    say(f"making a base for {architecture}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    draft = tar.with_name(f"draft-{architecture}.tar")
    variant = (
        # Debian's pip refuses to install beside the system's packages, python.org's does not.
        ("minbase", "python3,python3-pip,libstdc++6", "rm $1/usr/lib/python3*/EXTERNALLY-MANAGED")
        if architecture == "amd64"
        else ("extract", "python3,libstdc++6", "true")
    )
    subprocess.run(
        [
            "mmdebstrap",
            f"--architectures={architecture}",
            f"--variant={variant[0]}",
            f"--include={variant[1]}",
            f"--customize-hook={variant[2]}",
            "bookworm",
            draft,
        ],
        capture_output=True,
        check=True,
    )
    return draft.replace(tar)


def make_wheels() -> Path:
    """All that the tutorial's image installs, fetched once: its own package cache."""
    pins = (TUTORIAL / "requirements.txt").read_bytes() + TORCH.encode()
    folder = FOLDER / f"wheels-{hashlib.sha256(pins).hexdigest()[:10]}"
    done = folder / "fetched"
    if not done.exists():
        say("fetching the wheels of the tutorial's image")
        shutil.rmtree(folder, ignore_errors=True)
        pip = (sys.executable, "-m", "pip", "wheel", "-qq", "--wheel-dir", folder)
        subprocess.run([*pip, "-r", TUTORIAL / "requirements.txt", TORCH], check=True)
        done.touch()
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Debian's `docker-registry`, which keeps each blob in a file."""

    host: str
    storage: Path

    def size_bytes(self) -> int:
        """Of all blobs that it has."""
        return sum(file.stat().st_size for file in self.storage.glob("**/blobs/sha256/*/*/data"))


@contextmanager
def running_registry() -> Iterator[Registry]:
    """For as long as the block takes, and empty at its beginning."""
    storage = FOLDER / "registry"
    shutil.rmtree(storage, ignore_errors=True)
    storage.mkdir(parents=True)
    with socket.create_server((HOST, 0)) as free:
        host = f"{HOST}:{free.getsockname()[1]}"
    settings = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": host},
    }
    file = storage / "settings.json"
    file.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    process = subprocess.Popen(
        ["docker-registry", "serve", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(host)
        yield Registry(host=host, storage=storage)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(storage, ignore_errors=True)


def _wait_for(host: str) -> None:
    name, _, port = host.rpartition(":")
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection((name, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("bench: `docker-registry` does not listen")
