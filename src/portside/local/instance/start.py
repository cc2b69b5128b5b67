"""What an instance is started with where it is a process, and how the installed runtime is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portside.contract import ENV_BIND_HOST, ENV_BIND_TO_PORT, ENV_MODEL_DIR
from portside.local.instance import confinement, leash
from portside.local.instance.removal import remove

if TYPE_CHECKING:
    from portside.local.instance.instance import InstanceSpec

LOOPBACK: Final = "127.0.0.1"

SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are that nobody has said it of: docker's own default too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What an instance has of this machine."""

    folder: Path
    temp: Path
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an instance is started with."""

    command: tuple[str, ...]
    environment: dict[str, str]


def new_place(folder: Path, *, port: int) -> Place:
    """A folder that is new, with a temp folder in it."""
    remove(folder)
    temp = folder / "tmp"
    temp.mkdir(parents=True, exist_ok=True)
    return Place(folder=folder, temp=temp, port=port)


def runtime_start(command: tuple[str, ...], spec: InstanceSpec, *, place: Place) -> Start:
    """The runtime that is installed here, confined where that is asked for."""
    return Start(
        command=_confined(command, spec, place=place),
        environment=_environment(spec, place=place),
    )


def _confined(command: tuple[str, ...], spec: InstanceSpec, *, place: Place) -> tuple[str, ...]:
    """The command that starts it on its leash, confined where that is asked for."""
    leashed = leash.leashed(*command)
    if not spec.is_confined:
        return leashed
    python = (sys.prefix, sys.base_prefix, *sys.path)
    shown = (place.folder, spec.model_dir, *(Path(path) for path in python if path))
    return confinement.confined(leashed, temp=place.temp, shown=shown)


def _environment(spec: InstanceSpec, *, place: Place) -> dict[str, str]:
    """Clean, not that of the local SageMaker: what a container would see.

    The last three tell the runtime of its model and port where there is no container.
    """
    return {
        "PATH": f"{Path(sys.executable).parent}:{SYSTEM_PATH}",
        "LANG": "C.UTF-8",
        "HOME": str(place.temp),
        "TMPDIR": str(place.temp),
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": spec.region,
        **({"USER": confinement.USER_NAME} if spec.is_confined else {}),
        **spec.environment,
        ENV_MODEL_DIR: str(spec.model_dir),
        ENV_BIND_TO_PORT: str(place.port),
        ENV_BIND_HOST: LOOPBACK,
    }
