"""What docker and podman are told, as values: the arguments after the program's name.

Both understand the same words but for the few that take an `EngineKind`. Sources: the
manual pages `docker-*(1)` of 20.10 and later, `podman-*(1)` of 4.3 and later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, assert_never

Arguments = tuple[str, ...]

INFO: Final[Arguments] = ("info", "--format", "{{json .}}")
"""What it is and what it can do, as one JSON object."""


class EngineKind(StrEnum):
    """Whose words an engine understands; also the name of its program."""

    DOCKER = "docker"
    PODMAN = "podman"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """A container that may do no more than compute, as `uid` and `gid` (numbers).

    Its tree cannot be written to but for `temp`, it has no `/dev/shm`, no capability, and
    no way to get one.
    """

    uid: int
    gid: int
    temp: str = "/tmp"  # noqa: S108  the container's, not this machine's


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What a container is made from.

    `arguments` replace the image's CMD; its ENTRYPOINT stays. `container_port` is reached on
    127.0.0.1:`host_port` only. `environment_file` holds lines `NAME=value`; the values of
    `environment_names` are taken from the environment that the engine's program is run with.
    None of a network is the engine's own; `memory_limit_bytes` counts no swap.
    """

    name: str
    image: str
    arguments: Arguments
    hostname: str
    host_port: int
    container_port: int
    read_only_folders: Mapping[Path, str]
    environment_file: Path
    environment_names: tuple[str, ...]
    labels: Mapping[str, str]
    network: str | None = None
    memory_limit_bytes: int | None = None
    confinement: Confinement | None = None


def create(kind: EngineKind, container: Container) -> Arguments:
    """Make a container, not started yet, from an image that is there; its output is kept nowhere.

    Whoever attaches to it reads what it prints.
    """
    return (
        "create",
        *("--name", container.name),
        *("--pull", "never"),
        *("--log-driver", "none"),
        *("--hostname", container.hostname),
        *("--publish", f"127.0.0.1:{container.host_port}:{container.container_port}"),
        *_mounts(container.read_only_folders),
        *("--env-file", str(container.environment_file)),
        *_each("--env", container.environment_names),
        *_each("--label", (f"{name}={value}" for name, value in container.labels.items())),
        *(() if container.network is None else ("--network", container.network)),
        *_memory(container.memory_limit_bytes),
        *_confinement(kind, container.confinement),
        container.image,
        *container.arguments,
    )


def _mounts(folders: Mapping[Path, str]) -> Arguments:
    """`z` lets containers read the folder where SELinux decides; elsewhere it means nothing."""
    return _each("--volume", (f"{source}:{target}:ro,z" for source, target in folders.items()))


def _memory(limit_bytes: int | None) -> Arguments:
    """The limit with swap is the same: there is no swap."""
    if limit_bytes is None:
        return ()
    return ("--memory", str(limit_bytes), "--memory-swap", str(limit_bytes))


def _confinement(kind: EngineKind, confinement: Confinement | None) -> Arguments:
    if confinement is None:
        return ()
    return (
        "--read-only",
        # podman would mount folders to write to on `/run` and `/var/tmp` as well.
        *(("--read-only-tmpfs=false",) if kind is EngineKind.PODMAN else ()),
        # docker forbids programs there unless told; libraries unpack some.
        *("--tmpfs", f"{confinement.temp}:rw,exec,mode=1777"),
        *("--ipc", "none"),  # private, and `/dev/shm` is not mounted
        *("--user", f"{confinement.uid}:{confinement.gid}"),
        *("--cap-drop", "all"),
        *("--security-opt", "no-new-privileges"),
    )


def start(name: str) -> Arguments:
    """Start a container; stay until it ends, print what it prints, end with its exit code.

    A signal to the program is handed on to the container.
    """
    return ("start", "--attach", name)


def remove(kind: EngineKind, names: tuple[str, ...]) -> Arguments:
    """Remove containers with what they wrote, ending at once those that run."""
    no_grace = ("--time", "0") if kind is EngineKind.PODMAN else ()  # docker gives none
    return ("rm", "--force", "--volumes", *no_grace, *names)


def inspect_container(name: str) -> Arguments:
    """How a container fares, as a JSON list of one."""
    return ("container", "inspect", name)


def inspect_image(image: str) -> Arguments:
    """What an image is, by name, digest or id, as a JSON list of one."""
    return ("image", "inspect", image)


CONTEXT: Final[Arguments] = ("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
"""Where the server is that docker's user has chosen."""


def pull(kind: EngineKind, image: str, *, folder: Path, server: str = "") -> Arguments:
    """Fetch an image from a registry of this machine, with the `config.json` of a folder.

    docker reads there which server it is to use as well, so it has to be told; it takes a registry
    on 127.0.0.1 without TLS by itself.
    """
    match kind:
        case EngineKind.PODMAN:
            options = ("--authfile", str(folder / "config.json"), "--tls-verify=false")
            return ("pull", "--quiet", *options, image)
        case EngineKind.DOCKER:
            chosen = ("--host", server) if server else ()
            return ("--config", str(folder), *chosen, "pull", "--quiet", image)
        case _:
            assert_never(kind)


def tag(image: str, name: str) -> Arguments:
    """Give an image that is there one more name."""
    return ("tag", image, name)


def list_containers(label: str) -> Arguments:
    """The ids of all containers with the label `NAME=VALUE`, one a line, running or not."""
    return ("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}")


def inspect_network(name: str) -> Arguments:
    """Whether there is such a network: it ends with 0 then."""
    return ("network", "inspect", name)


def create_network(name: str) -> Arguments:
    """Make a network of the engine's usual kind, a bridge."""
    return ("network", "create", name)


def _each(option: str, values: Iterable[str]) -> Arguments:
    return tuple(word for value in values for word in (option, value))
