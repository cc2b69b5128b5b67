"""Which instances are containers and which are processes.

--engine auto            Portside's own runtime: a process; any other image: a container of
                         docker or podman, whichever answers first
--engine process         processes only, so no other image than the runtime
--engine docker, podman  containers of this engine only
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from portside.engine.command import EngineKind
from portside.local.instance import runtime_image

if TYPE_CHECKING:
    from portside.local.instance.container import ContainerLauncher
    from portside.local.instance.instance import InstanceSpec, Launcher, Process


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


class ChosenLauncher:
    """Starts each instance as the user's choice says. Engines are looked for when one is needed."""

    def __init__(
        self, choice: EngineChoice, *, processes: Launcher, containers: ContainerLauncher
    ) -> None:
        self._choice = choice
        self._processes = processes
        self._containers = containers

    async def check(self) -> None:
        """Look whether the engine that was demanded is there; raises `MissingToolError`."""
        if self._choice in {EngineChoice.DOCKER, EngineChoice.PODMAN}:
            await self._containers.engine()

    async def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError` where nobody holds it."""
        return await self._launcher(image).resolve(image)

    async def launch(self, spec: InstanceSpec) -> Process:
        """Start one; raises OSError when the machine cannot."""
        return await self._launcher(spec.image).launch(spec)

    def kill_leftovers(self) -> None:
        """End what an earlier life left running, whatever its choice was."""
        self._containers.kill_leftovers()
        self._processes.kill_leftovers()

    def _launcher(self, image: str) -> Launcher:
        match self._choice:
            case EngineChoice.AUTO:
                is_process = runtime_image.is_runtime(image)
            case EngineChoice.PROCESS:
                is_process = True
            case EngineChoice.DOCKER | EngineChoice.PODMAN:
                is_process = False
        return self._processes if is_process else self._containers
