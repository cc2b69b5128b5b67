"""A podman with a storage of its own, so that nothing of the machine's is used or left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# runc, few limits and cgroupfs work in machines with old cgroups and few rights too.
_CONTAINERS: Final = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/tmp"
[network]
network_config_dir = "{folder}/networks"
"""
_STORAGE: Final = """
[storage]
driver = "overlay"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """One that answers; `environment` leads others to the same storage."""

    environment: Mapping[str, str]

    def __call__(self, *arguments: str | Path) -> str:
        """What it prints; ends the benchmark where it fails."""
        done = subprocess.run(
            ["podman", *arguments],
            env=os.environ | dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"bench: `podman {arguments[0]}` failed:\n{done.stderr[-2000:]}")
        return done.stdout.strip()


@contextmanager
def own_podman() -> Iterator[Podman]:
    """For as long as the block takes."""
    folder = Path(tempfile.mkdtemp(prefix="podman-"))  # short, for podman's sockets
    (folder / "networks").mkdir()
    for name, text in (("containers.conf", _CONTAINERS), ("storage.conf", _STORAGE)):
        (folder / name).write_text(text.format(folder=folder), encoding="utf-8")
    podman = Podman(
        environment={
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }
    )
    try:
        yield podman
        podman("rm", "--force", "--all", "--time", "0")
    finally:
        subprocess.run(["umount", folder / "root" / "overlay"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
