"""An engine that answers: the questions and orders that others have for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from portside.engine import command
from portside.engine.command import Arguments, Container, EngineKind
from portside.engine.runner import NOTHING_MORE, Attached, Done, Runner

_ANSWER_TIMEOUT_S: Final = 30.0
"""For what takes some tens of milliseconds; a machine that is busy takes longer."""

_PULL_TIMEOUT_S: Final = 900.0
"""For an image of SageMaker's largest size from this machine's own disk, and then some."""

_NEVER: Final = "0001-01-01"
"""The day of a time that has not come, in Go's spelling."""

_log = logging.getLogger(__name__)


class EngineError(OSError):
    """The engine refused, or did not answer; the message is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that an engine holds: what to start it by, and the digest to show.

    `digest` is that of its manifest where the engine knows it, otherwise that of its config.
    """

    id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """How a container fares.

    Without a cgroup of version 2 podman does not always see that the kernel
    `is_out_of_memory` and has killed it.
    """

    has_started: bool
    is_out_of_memory: bool


class Engine:
    """docker or podman, found usable; every call raises `EngineError` where it fails."""

    def __init__(
        self,
        kind: EngineKind,
        *,
        program: str,
        version: str,
        limits_memory: bool,
        runner: Runner,
    ) -> None:
        self.kind = kind
        self.version = version
        self.limits_memory = limits_memory
        self._program = program
        self._runner = runner

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"

    async def find_image(self, image: str) -> Image | None:
        """What an image's name, digest or id means here; None where it is not held."""
        done = await self._run(command.inspect_image(image))
        if done.code != 0:
            _log.info("%s has no image %s: %s", self.kind, image, done.reason)
            return None
        found = _only(done)
        digest = _with_algorithm(found.get("Digest") or _repository_digest(found) or found["Id"])
        return Image(id=_with_algorithm(found["Id"]), digest=digest)

    async def pull(self, image: str, *, folder: Path) -> None:
        """Fetch an image from a registry of this machine; `folder` has a `config.json`."""
        server = ""
        if self.kind is EngineKind.DOCKER:
            chosen = await self._run(command.CONTEXT)
            server = chosen.output.decode().strip() if chosen.code == 0 else ""
        arguments = command.pull(self.kind, image, folder=folder, server=server)
        await self._must(arguments, timeout_s=_PULL_TIMEOUT_S)

    async def tag(self, image: str, name: str) -> None:
        """Give an image that is held one more name."""
        await self._must(command.tag(image, name))

    async def create(
        self, container: Container, *, environment: Mapping[str, str] = NOTHING_MORE
    ) -> None:
        """Make a container; `environment` has the values of its `environment_names`."""
        await self._must(command.create(self.kind, container), environment=environment)

    async def start(self, name: str) -> Attached:
        """Start a container, and read what it prints for as long as it runs."""
        return await self.follow(command.start(name))

    async def follow(self, arguments: Arguments) -> Attached:
        """Begin what may take long, and read what it prints."""
        try:
            return await self._runner.attach((self._program, *arguments))
        except OSError as error:
            raise EngineError(f"could not run `{self._program}`: {error.strerror}") from error

    async def state(self, name: str) -> ContainerState | None:
        """How a container fares; None for one that is not there."""
        done = await self._run(command.inspect_container(name))
        if done.code != 0:
            return None
        state = _only(done)["State"]
        return ContainerState(
            has_started=not state["StartedAt"].startswith(_NEVER),
            is_out_of_memory=state["OOMKilled"],
        )

    async def remove(self, *names: str) -> None:
        """Remove containers, running or not; nothing for those that are not there."""
        done = await self._run(command.remove(self.kind, names))
        if done.code != 0 and "no such container" not in done.errors.lower():
            raise EngineError(f"could not remove {', '.join(names)}: {done.reason}")

    async def containers(self, label: str) -> tuple[str, ...]:
        """The ids of the containers with the label `NAME=VALUE`."""
        done = await self._must(command.list_containers(label))
        return tuple(done.output.decode().split())

    async def make_network(self, name: str) -> None:
        """Make a network where there is none of this name."""
        if (await self._run(command.inspect_network(name))).code != 0:
            await self._must(command.create_network(name))

    async def _must(
        self,
        arguments: Arguments,
        *,
        environment: Mapping[str, str] = NOTHING_MORE,
        timeout_s: float = _ANSWER_TIMEOUT_S,
    ) -> Done:
        done = await self._run(arguments, environment=environment, timeout_s=timeout_s)
        if done.code != 0:
            raise EngineError(f"{self.kind} {arguments[0]}: {done.reason}")
        return done

    async def _run(
        self,
        arguments: Arguments,
        *,
        environment: Mapping[str, str] = NOTHING_MORE,
        timeout_s: float = _ANSWER_TIMEOUT_S,
    ) -> Done:
        try:
            return await self._runner.run(
                (self._program, *arguments),
                timeout_s=timeout_s,
                environment=environment,
            )
        except TimeoutError as error:
            raise EngineError(
                f"`{self.kind} {arguments[0]}` did not end in {timeout_s:.0f} s"
            ) from error
        except OSError as error:
            raise EngineError(f"could not run `{self._program}`: {error.strerror}") from error


def _only(done: Done) -> dict[str, Any]:
    """The one object of the list that `inspect` prints."""
    found: list[dict[str, Any]] = json.loads(done.output)
    return found[0]


def _repository_digest(found: dict[str, Any]) -> str | None:
    """docker knows an image's digest only by the repositories that it has seen it in."""
    named = found.get("RepoDigests") or []
    return named[0].rpartition("@")[2] if named else None


def _with_algorithm(digest: str) -> str:
    """podman's ids are bare."""
    return digest if ":" in digest else f"sha256:{digest}"
