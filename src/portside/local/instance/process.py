"""Instances as processes of this machine: the launcher for where there are no containers.

    spec ─▶ own folder, free port, clean environment ─▶ confinement ─▶ leash ─▶ runtime

Confinement and a limit of memory are for serverless instances only. `child_process` tells what
becomes of it from then on.
"""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside.contract import ENV_BIND_HOST, ENV_BIND_TO_PORT, ENV_MODEL_DIR
from portside.local.instance import (
    confinement,
    leash,
    leftover,
    output,
    runtime_image,
    straggler,
)
from portside.local.instance.child_process import ChildProcess, spawn
from portside.local.instance.memory_watch import MemoryWatch
from portside.local.instance.removal import remove

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.instance.child_process import MemoryLimit
    from portside.local.instance.instance import InstanceSpec
    from portside.local.instance.memory_cgroup import MemoryCgroups
    from portside.local.log.log_store import LogStore

_log = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProcessLauncher:
    """Starts instances as processes. `folder` holds one folder for each while it runs."""

    def __init__(
        self,
        *,
        folder: Path,
        logs: LogStore,
        clock: Clock,
        command: tuple[str, ...] = runtime_image.COMMAND,
        memory_cgroups: MemoryCgroups | None = None,
    ) -> None:
        self._folder = folder
        self._logs = logs
        self._clock = clock
        self._command = command
        self._memory_cgroups = memory_cgroups
        self._memory_watch = MemoryWatch(clock=clock)
        self._running: dict[int, ChildProcess] = {}

    async def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError` for all but the runtime's."""
        return runtime_image.resolve(image)

    async def launch(self, spec: InstanceSpec) -> ChildProcess:
        """Start the runtime on a free port; raises OSError when the machine cannot."""
        folder = self._folder / spec.instance_id
        remove(folder)
        temp = folder / "tmp"
        temp.mkdir(parents=True, exist_ok=True)
        port = self._free_port()
        process, printed = await spawn(
            _confined(self._command, spec, folder=folder, temp=temp),
            folder=folder,
            environment=_environment(spec, temp=temp, port=port) | straggler.mark(folder),
        )
        keep = output.keeper(spec, logs=self._logs, clock=self._clock)
        child = ChildProcess(
            process,
            port=port,
            folder=folder,
            printed=printed,
            keep=keep,
            memory_limit=self._limit_memory(process.pid, spec, keep=keep),
        )
        self._running[port] = child
        try:
            leftover.write_down(folder / "process.json", pid=process.pid)
        except OSError:
            child.kill()
            raise
        return child

    def kill_leftovers(self) -> None:
        """End what an earlier life left running, and remove its folders."""
        folders = list(self._folder.iterdir()) if self._folder.is_dir() else []
        for folder in folders:
            leftover.end(folder / "process.json")
        straggler.end(folders)
        for folder in folders:
            remove(folder)

    def _limit_memory(
        self, pid: int, spec: InstanceSpec, *, keep: output.Keep
    ) -> MemoryLimit | None:
        """The kernel's limit where it takes one of us, else a watch, else a line in the log."""
        limit_bytes = spec.memory_limit_bytes
        if limit_bytes is None:
            return None
        if self._memory_cgroups is not None:
            try:
                cgroup = self._memory_cgroups.make(spec.instance_id, limit_bytes=limit_bytes)
                cgroup.add(pid)
            except OSError as error:
                _log.warning("no control group for %s: %s", spec.instance_id, error)
            else:
                return cgroup
        if self._memory_watch.is_possible:
            return self._memory_watch.add(pid, limit_bytes=limit_bytes)
        keep([b"Portside could not limit the memory of this instance: that needs Linux"])
        return None

    def _free_port(self) -> int:
        """A port that nobody listens on and that no running instance was given.

        It is free when looked at; should somebody take it first, the instance
        ends and is started again with another.
        """
        self._running = {port: child for port, child in self._running.items() if child.is_alive}
        while True:
            with socket.socket() as probe:
                probe.bind((LOOPBACK, 0))
                port: int = probe.getsockname()[1]
            if port not in self._running:
                return port


def _confined(
    command: tuple[str, ...], spec: InstanceSpec, *, folder: Path, temp: Path
) -> tuple[str, ...]:
    """The command that starts it on its leash, confined where that is asked for."""
    leashed = leash.leashed(*command)
    if not spec.is_confined:
        return leashed
    python = (sys.prefix, sys.base_prefix, *sys.path)
    shown = (folder, spec.model_dir, *(Path(place) for place in python if place))
    return confinement.confined(leashed, temp=temp, shown=shown)


def _environment(spec: InstanceSpec, *, temp: Path, port: int) -> dict[str, str]:
    """Clean, not that of the local SageMaker: what a container would see.

    The last three tell the runtime of its model and port where there is no container.
    """
    return {
        "PATH": f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
        "LANG": "C.UTF-8",
        "HOME": str(temp),
        "TMPDIR": str(temp),
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": spec.region,
        **({"USER": confinement.USER_NAME} if spec.is_confined else {}),
        **spec.environment,
        ENV_MODEL_DIR: str(spec.model_dir),
        ENV_BIND_TO_PORT: str(port),
        ENV_BIND_HOST: LOOPBACK,
    }
