"""What an instance's container is made from, and what is said of it: values alone."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Final

from portside.contract import MODEL_DIR, PORT, SERVE_ARGUMENT
from portside.engine.command import Confinement, Container
from portside.local.instance.confinement import GROUP_ID, USER_ID, USER_NAME
from portside.local.instance.container_network import NETWORK

if TYPE_CHECKING:
    from pathlib import Path

    from portside.engine.engine import ContainerState, Engine, Image
    from portside.local.instance.container_network import ContainerNetwork
    from portside.local.instance.instance import InstanceSpec

HOSTNAME: Final = "container-0.local"
"""As seen on SageMaker: GH huggingface/text-embeddings-inference#433."""
LABEL: Final = "portside.folder"
"""Whose containers they are: the value is the folder that one local SageMaker keeps them in."""

CONFINED: Final = Confinement(uid=USER_ID, gid=GROUP_ID)
"""As a process is, where the machine allows it; an engine can do all of it."""

_NOT_FOR_A_LINE: Final = re.compile(r"""[\r\n#'"`$\\]|\A\s|\s\Z""")
"""What may come out of an environment file changed. There are no line breaks in one, and podman
4.7.0 read quotes, comments and spaces as a shell does: GH containers/podman#19565.
"""

_KILLED: Final = 128 + signal.SIGKILL
_MIB: Final = 1024 * 1024


def container(
    spec: InstanceSpec,
    *,
    image: Image,
    port: int,
    folder: Path,
    label: str,
    network: str | None,
    limits_memory: bool,
) -> Container:
    """What the engine makes an instance from."""
    variables = environment(spec)
    return Container(
        name=f"portside-{spec.instance_id}",
        image=image.id,
        arguments=(SERVE_ARGUMENT,),
        hostname=HOSTNAME,
        host_port=port,
        container_port=PORT,
        read_only_folders={spec.model_dir: MODEL_DIR},
        environment_file=folder / "environment",
        environment_names=tuple(
            name for name, value in variables.items() if _NOT_FOR_A_LINE.search(value)
        ),
        labels={LABEL: label},
        network=network,
        memory_limit_bytes=spec.memory_limit_bytes if limits_memory else None,
        confinement=CONFINED if spec.is_confined else None,
    )


def environment(spec: InstanceSpec) -> dict[str, str]:
    """What the platform sets, and over it what the Model does."""
    user = {"USER": USER_NAME} if spec.is_confined else {}
    return {"AWS_REGION": spec.region, **user, **spec.environment}


def shortcomings(spec: InstanceSpec, *, engine: Engine, network: ContainerNetwork) -> list[str]:
    """What an instance should have and cannot be given here, as lines of its log."""
    said = []
    if spec.memory_limit_bytes is not None and not engine.limits_memory:
        said.append(
            f"Portside could not limit the memory of this instance: {engine} cannot do it on this"
            " machine"
        )
    if network.name is None:
        said.append(
            f"Portside could not put this instance into the network {NETWORK}: {network.reason}"
        )
    return said


def last_words(code: int, state: ContainerState | None, *, memory_limit_bytes: int | None) -> str:
    """The last line of a log whose instance ended by itself, perhaps without one. Ours."""
    if state is not None and not state.has_started:
        return "The container could not be started: the reason stands above"
    if code < 0:
        return "The container was ended: the engine's program that minded it was ended by a signal"
    limit = "" if memory_limit_bytes is None else f" of {memory_limit_bytes // _MIB} MB"
    if state is not None and state.is_out_of_memory:
        return f"The container exited with code {code}: it went over its memory limit{limit}"
    if code == _KILLED and limit:
        return (
            f"The container exited with code {code}: it was killed, most likely because it went"
            f" over its memory limit{limit}"
        )
    return f"The container exited with code {code}"
