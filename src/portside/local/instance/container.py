"""Instances as containers of docker or podman: as SageMaker runs them, on this machine.

    image held, or pulled from the local ECR?
         └─▶ own folder, free port ─▶ created ─▶ started and attached to
                                                        (`running_container`)

A folder is made before its container and removed after it, so that where there is none
the next life of the local SageMaker has no engine to ask for what was left.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside.engine.command import EngineKind
from portside.engine.engine import EngineError
from portside.errors import BuildError, MissingToolError
from portside.image.reference import parse
from portside.local.instance import container_plan, output
from portside.local.instance.container_network import ContainerNetwork
from portside.local.instance.removal import remove
from portside.local.instance.running_container import RunningContainer, discard
from portside.local.instance.runtime_image import ImageMissingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from portside.engine.command import Container
    from portside.engine.engine import Engine, Image
    from portside.engine.runner import Attached
    from portside.local.clock import Clock
    from portside.local.instance.image.image_pull import ImagePulls
    from portside.local.instance.instance import InstanceSpec
    from portside.local.log.log_store import LogStore

_LOOPBACK: Final = "127.0.0.1"
_log = logging.getLogger(__name__)


class ContainerLauncher:
    """Starts instances as containers. `folder` holds one folder for each while it runs.

    `find` finds the engine, of several kinds the first that is usable; it raises
    `MissingToolError`, and is asked when the first container is. `pulls` brings the engine what
    was pushed to the local ECR; any other image it has to hold by itself.
    """

    def __init__(
        self,
        *,
        folder: Path,
        kinds: tuple[EngineKind, ...],
        find: Callable[[tuple[EngineKind, ...]], Awaitable[Engine]],
        logs: LogStore,
        clock: Clock,
        pulls: ImagePulls | None = None,
    ) -> None:
        self._pulls = pulls
        self._folder = folder
        self._kinds = kinds
        self._find = find
        self._logs = logs
        self._clock = clock
        self._found: Engine | None = None
        self._network = ContainerNetwork()
        self._ports: set[int] = set()
        self._clearing: asyncio.Task[None] | None = None

    async def engine(self) -> Engine:
        """What runs the containers; raises `MissingToolError` where nothing can."""
        if self._found is None:
            self._found = await self._find(self._kinds)
            _log.info("containers are run by %s", self._found)
        return self._found

    async def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError` for one that is not held here."""
        try:
            engine = await self.engine()
            found = await _find_image(engine, image)
            reference = parse(image)
        except (MissingToolError, EngineError, BuildError) as error:
            _log.warning("could not look for image %s: %s", image, error)
            raise ImageMissingError(image) from error
        return str(replace(reference, tag=None, digest=found.digest))

    async def launch(self, spec: InstanceSpec) -> RunningContainer:
        """Start one on a free port; raises OSError when the engine cannot."""
        if self._clearing is not None:
            await asyncio.shield(self._clearing)
        keep = output.keeper(spec, logs=self._logs, clock=self._clock)
        try:
            return await self._launch(spec, keep=keep)
        except (MissingToolError, OSError) as error:
            keep([f"The container could not be started: {error}".encode()])
            raise EngineError(str(error)) from error

    def kill_leftovers(self) -> None:
        """Begin to remove the containers of an earlier life; none is started before it is done."""
        if self._pulls is not None:
            self._pulls.clear()
        left = [kind for kind in EngineKind if _holds_anything(self._folder / kind)]
        if left:
            self._clearing = asyncio.create_task(self._clear(left))

    async def _clear(self, kinds: list[EngineKind]) -> None:
        for kind in kinds:
            try:
                engine = await self._find((kind,))
                names = await engine.containers(f"{container_plan.LABEL}={self._folder}")
                if names:
                    await engine.remove(*names)
            except (MissingToolError, EngineError) as error:
                _log.warning("could not remove the containers of an earlier life: %s", error)
            else:
                remove(self._folder / kind)

    async def _launch(self, spec: InstanceSpec, *, keep: output.Keep) -> RunningContainer:
        engine = await self.engine()
        try:
            pulled = await self._pulls.find(engine, spec.image) if self._pulls else None
            image = pulled or await _find_image(engine, spec.image)
        except ImageMissingError as error:
            raise EngineError(f"{engine} does not hold {spec.image} any more") from error
        await self._network.make(engine)
        for shortcoming in container_plan.shortcomings(spec, engine=engine, network=self._network):
            keep([shortcoming.encode()])
        folder = self._folder / engine.kind / spec.instance_id
        port = self._take_port()
        container = container_plan.container(
            spec,
            image=image,
            port=port,
            folder=folder,
            label=str(self._folder),
            network=self._network.name,
            limits_memory=engine.limits_memory,
        )
        try:
            client = await _start(engine, container, environment=container_plan.environment(spec))
        except BaseException:
            self._ports.discard(port)
            if await discard(engine, container.name):
                remove(folder)
            raise
        return RunningContainer(
            client,
            container=container,
            engine=engine,
            folder=folder,
            keep=keep,
            on_not_started=self._network.blame,
            on_gone=partial(self._ports.discard, port),
        )

    def _take_port(self) -> int:
        """A port that nobody listens on and that no running instance was given.

        It is free when looked at; should somebody take it first, the instance
        ends and is started again with another.
        """
        while True:
            with socket.socket() as probe:
                probe.bind((_LOOPBACK, 0))
                port: int = probe.getsockname()[1]
            if port not in self._ports:
                self._ports.add(port)
                return port


async def _start(engine: Engine, container: Container, *, environment: dict[str, str]) -> Attached:
    """Create and start it; its environment is never on a command line, where all may read it."""
    for folder in container.read_only_folders:
        await asyncio.to_thread(_open_to_all, folder)
    names = container.environment_names
    remove(container.environment_file.parent)
    container.environment_file.parent.mkdir(parents=True)
    _write(
        container.environment_file,
        [f"{name}={value}\n" for name, value in environment.items() if name not in names],
    )
    try:
        await engine.create(container, environment={name: environment[name] for name in names})
    finally:
        container.environment_file.unlink(missing_ok=True)
    return await engine.start(container.name)


def _write(file: Path, lines: list[str]) -> None:
    """For the owner's eyes only."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
        out.writelines(lines)


def _open_to_all(folder: Path) -> None:
    """Let every user of a container read a folder; it lies in one that others cannot enter."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))


async def _find_image(engine: Engine, image: str) -> Image:
    """By its name, or by the digest in it; raises `ImageMissingError`."""
    _, _, digest = image.partition("@")
    found = await engine.find_image(image)
    if found is None and digest:
        found = await engine.find_image(digest)
    if found is None:
        raise ImageMissingError(image)
    return found


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
