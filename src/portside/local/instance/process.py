"""Instances as processes of this machine: the launcher for where there are no containers.

    spec ─▶ own folder, free port ─┬─ clean environment ─▶ confinement ─▶ leash ─▶ runtime
                                   └─ tree of a pushed image ─▶ its root entered ─▶ its program

Confinement and a limit of memory are for serverless instances only. `child_process` tells what
becomes of it from then on.
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from portside.errors import BuildError
from portside.local.instance import (
    leftover,
    output,
    runtime_image,
    straggler,
)
from portside.local.instance.child_process import ChildProcess, spawn
from portside.local.instance.image.image_start import image_start
from portside.local.instance.memory_watch import MemoryWatch
from portside.local.instance.removal import remove
from portside.local.instance.start import LOOPBACK, Place, Start, new_place, runtime_start

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.local.clock import Clock
    from portside.local.instance.child_process import MemoryLimit
    from portside.local.instance.image.pushed_image import PushedImage, PushedImages
    from portside.local.instance.instance import InstanceSpec
    from portside.local.instance.memory_cgroup import MemoryCgroups
    from portside.local.log.log_store import LogStore

_log = logging.getLogger(__name__)


class ProcessLauncher:
    """Starts instances as processes. `folder` holds one folder for each while it runs.

    `images` are those of the local ECR; any other name is taken for the runtime's.
    """

    def __init__(
        self,
        *,
        folder: Path,
        logs: LogStore,
        clock: Clock,
        command: tuple[str, ...] = runtime_image.COMMAND,
        memory_cgroups: MemoryCgroups | None = None,
        images: PushedImages | None = None,
    ) -> None:
        self._folder = folder
        self._logs = logs
        self._clock = clock
        self._command = command
        self._memory_cgroups = memory_cgroups
        self._memory_watch = MemoryWatch(clock=clock)
        self._images = images
        self._running: dict[int, ChildProcess] = {}

    async def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError` for all but the runtime's."""
        return runtime_image.resolve(image)

    async def launch(self, spec: InstanceSpec) -> ChildProcess:
        """Start the runtime or a pushed image on a free port; raises OSError if it cannot be."""
        pushed = self._images.find(spec.image) if self._images else None
        if self._images is not None and pushed is not None:
            return await self._launch_pushed(spec, pushed, images=self._images)
        place = self._new_place(spec)
        return await self._start(spec, runtime_start(self._command, spec, place=place), place=place)

    async def _launch_pushed(
        self, spec: InstanceSpec, image: PushedImage, *, images: PushedImages
    ) -> ChildProcess:
        release = images.hold(image)
        try:
            root = await images.root(image)
            place = self._new_place(spec)
            start = image_start(spec, image.config, root=root, place=place)
            return await self._start(spec, start, place=place, on_gone=release)
        except BaseException as error:
            release()
            if isinstance(error, BuildError):
                keep = output.keeper(spec, logs=self._logs, clock=self._clock)
                keep([f"The image could not be started: {error.message}".encode()])
                remove(self._folder / spec.instance_id)
                raise OSError(error.message) from error
            raise

    def _new_place(self, spec: InstanceSpec) -> Place:
        return new_place(self._folder / spec.instance_id, port=self._free_port())

    async def _start(
        self,
        spec: InstanceSpec,
        start: Start,
        *,
        place: Place,
        on_gone: Callable[[], None] = lambda: None,
    ) -> ChildProcess:
        process, printed = await spawn(
            start.command,
            folder=place.folder,
            environment=start.environment | straggler.mark(place.folder),
        )
        keep = output.keeper(spec, logs=self._logs, clock=self._clock)
        child = ChildProcess(
            process,
            port=place.port,
            folder=place.folder,
            printed=printed,
            keep=keep,
            memory_limit=self._limit_memory(process.pid, spec, keep=keep),
            on_gone=on_gone,
        )
        self._running[place.port] = child
        try:
            leftover.write_down(place.folder / "process.json", pid=process.pid)
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
