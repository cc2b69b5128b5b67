"""Which instances are containers and which are processes.

    --engine         Portside's own runtime   an image of the local ECR       any other image
    auto             process                  process where it can be one,    container
                                              else container
    process          process                  process, or it is refused       refused
    docker, podman   container                container                       container

An image can be a process where it is for this machine's processor, listens where it is told
(`SAGEMAKER_BIND_TO_PORT`), and the machine lets us enter its root: the same tree, user, variables
and program as in a container, and at once, where an engine takes a second. Network and processes
are the machine's. Containers are run by docker or podman, whichever answers first.

What AWS's instance would not run is not run here either, whatever this machine could do.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from portside.engine.command import EngineKind
from portside.local.instance import runtime_image
from portside.local.instance.image import platform_check, process_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.local.instance.container import ContainerLauncher
    from portside.local.instance.image.pushed_image import PushedImage, PushedImages
    from portside.local.instance.image.root_probe import RootProbe
    from portside.local.instance.instance import InstanceSpec, Launcher, Process
    from portside.local.instance.output import Keep


class EngineChoice(StrEnum):
    """What a user may choose to run instances in."""

    AUTO = "auto"
    PROCESS = "process"
    DOCKER = "docker"
    PODMAN = "podman"


KINDS: Final = {
    EngineChoice.AUTO: (EngineKind.DOCKER, EngineKind.PODMAN),
    EngineChoice.PROCESS: (),
    EngineChoice.DOCKER: (EngineKind.DOCKER,),
    EngineChoice.PODMAN: (EngineKind.PODMAN,),
}
"""The engines that each choice looks for, the first that is usable taken."""


class ImageRefusedError(OSError):
    """An instance is not started from an image; the message is for its log."""


class ChosenLauncher:
    """Starts each instance as the user's choice says. Engines are looked for when one is needed.

    `images` are those of the local ECR; `probe` knows whether roots can be entered here; `keeper`
    gives the log of an instance.
    """

    def __init__(
        self,
        choice: EngineChoice,
        *,
        processes: Launcher,
        containers: ContainerLauncher,
        images: PushedImages,
        probe: RootProbe,
        keeper: Callable[[InstanceSpec], Keep],
    ) -> None:
        self._choice = choice
        self._processes = processes
        self._containers = containers
        self._images = images
        self._probe = probe
        self._keeper = keeper

    async def check(self) -> None:
        """Look whether the engine that was demanded is there; raises `MissingToolError`."""
        if self._choice in {EngineChoice.DOCKER, EngineChoice.PODMAN}:
            await self._containers.engine()

    async def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError` where nobody holds it."""
        pushed = self._images.find(image)
        if pushed is not None and pushed.stored is not None:
            return str(replace(pushed.reference, tag=None, digest=pushed.digest))
        return await self._launcher(image).resolve(image)

    async def launch(self, spec: InstanceSpec) -> Process:
        """Start one; raises OSError when the machine cannot."""
        try:
            return await self._launch(spec)
        except ImageRefusedError as error:
            self._keeper(spec)([line.encode() for line in str(error.strerror).split("\n")])
            raise

    def kill_leftovers(self) -> None:
        """End what an earlier life left running, whatever its choice was."""
        self._containers.kill_leftovers()
        self._processes.kill_leftovers()
        self._images.clear_partial()

    def _launcher(self, image: str) -> Launcher:
        match self._choice:
            case EngineChoice.AUTO:
                is_process = runtime_image.is_runtime(image)
            case EngineChoice.PROCESS:
                is_process = True
            case EngineChoice.DOCKER | EngineChoice.PODMAN:
                is_process = False
            case _:
                assert_never(self._choice)
        return self._processes if is_process else self._containers

    async def _launch(self, spec: InstanceSpec) -> Process:
        pushed = self._images.find(spec.image)
        if pushed is not None:
            return await self._launch_pushed(spec, pushed)
        if self._choice is EngineChoice.PROCESS and not runtime_image.is_runtime(spec.image):
            raise _refused(f"The image {spec.image} is not there any more")
        return await self._launcher(spec.image).launch(spec)

    async def _launch_pushed(self, spec: InstanceSpec, image: PushedImage) -> Process:
        complaint = platform_check.complaint(image.config, instance_type=spec.instance_type)
        if complaint is not None:
            program = process_plan.command(image.config)[0]
            raise _refused(f"exec {program}: exec format error\n{complaint}")
        warning = platform_check.warning(image.config)
        if self._choice in {EngineChoice.DOCKER, EngineChoice.PODMAN}:
            return await self._launch_container(spec, warning=warning)
        obstacle = process_plan.obstacle(image.config) or await self._probe.obstacle()
        if obstacle is None:
            return await self._processes.launch(spec)
        if self._choice is EngineChoice.PROCESS:
            raise _refused(
                f"This image cannot run as a process here: {obstacle}\n"
                "Install podman or docker, and start without `--engine process`: it can run as a"
                " container"
            )
        try:
            return await self._launch_container(spec, warning=warning)
        except OSError as error:
            raise _refused(f"Nor can this image run as a process here: {obstacle}") from error

    async def _launch_container(self, spec: InstanceSpec, *, warning: str | None) -> Process:
        if warning is not None:
            self._keeper(spec)([warning.encode()])
        return await self._containers.launch(spec)


def _refused(words: str) -> ImageRefusedError:
    return ImageRefusedError(errno.ENOEXEC, words)
