"""How an image runs as a process of this machine, and whether it can: values alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.contract import (
    ENV_BIND_HOST,
    ENV_BIND_TO_PORT,
    MODEL_DIR,
    SERVE_ARGUMENT,
)
from portside.errors import BuildError
from portside.image.oci import Config, Execution
from portside.local.instance import confinement
from portside.local.instance.image import platform_check
from portside.local.instance.image.root_entry import Plan
from portside.local.instance.image.tree import inside
from portside.local.instance.start import LOOPBACK, SYSTEM_PATH

if TYPE_CHECKING:
    from pathlib import Path

    from portside.local.instance.instance import InstanceSpec

TAKES_PORT: Final = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
"""The label of images that listen where `SAGEMAKER_BIND_TO_PORT` says.
DG inference-pipeline-real-time."""

_PASSWD_BYTES: Final = 1024 * 1024


def obstacle(config: Config) -> str | None:
    """Why an image cannot be a process here, as the end of a sentence; None where it can."""
    image, machine = platform_check.of_image(config), platform_check.of_machine()
    if image != machine:
        return f"it is for {image}, and this machine is {machine}"
    labels = _execution(config).labels or {}
    if labels.get(TAKES_PORT) != "true":
        return (
            "it listens on port 8080, which it would have to share with others: it has no label"
            f" {TAKES_PORT}=true"
        )
    return None


def command(config: Config) -> tuple[str, ...]:
    """What starts an instance: `serve` stands in place of CMD.

    DG your-algorithms-inference-code.
    """
    return (*(_execution(config).entrypoint or ()), SERVE_ARGUMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where things are that an instance is started from, on this machine."""

    root: Path
    instance: Path
    temp: Path


def plan(
    spec: InstanceSpec, config: Config, *, folders: Folders, port: int, mark: dict[str, str]
) -> Plan:
    """What the process is to become; raises `BuildError` where it knows no such user."""
    execution = _execution(config)
    if spec.is_confined:
        user = _User(id=confinement.USER_ID, group_id=confinement.GROUP_ID, home="/")
    else:
        user = _user(folders.root, execution.user or "0")
    return Plan(
        root=str(folders.root),
        mount_point=str(folders.instance / "root"),
        model_dir=str(spec.model_dir),
        model_place=MODEL_DIR,
        temp=str(folders.temp),
        upper=None if spec.is_confined else str(folders.instance / "written"),
        user_id=user.id,
        group_id=user.group_id,
        command=list(command(config)),
        environment=_environment(spec, execution, home=user.home, port=port) | mark,
        working_dir=execution.working_dir or "/",
    )


def _environment(
    spec: InstanceSpec, execution: Execution, *, home: str, port: int
) -> dict[str, str]:
    """The image's, over it what the platform sets, over it what the Model does; and the port."""
    image = dict(line.partition("=")[::2] for line in execution.env or ())
    user = {"USER": confinement.USER_NAME} if spec.is_confined else {}
    return {
        "PATH": SYSTEM_PATH,
        "HOME": home,
        **image,
        "AWS_REGION": spec.region,
        **user,
        **spec.environment,
        ENV_BIND_TO_PORT: str(port),
        ENV_BIND_HOST: LOOPBACK,
    }


def _execution(config: Config) -> Execution:
    return config.config or Execution()


# --- Who it runs as ----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _User:
    id: int
    group_id: int
    home: str


def _user(root: Path, named: str) -> _User:
    """`USER` of an image: a name or a number, perhaps with a group after a colon."""
    name, _, group = named.partition(":")
    found = _entry(root, "etc/passwd", name, fields=7)
    if not found and not name.isdecimal():
        raise BuildError(f"the image has no user `{name}`")
    user_id, group_id, home = (found[2], found[3], found[5]) if found else (name, "0", "/")
    if group:
        in_groups = _entry(root, "etc/group", group, fields=4)
        if not in_groups and not group.isdecimal():
            raise BuildError(f"the image has no group `{group}`")
        group_id = in_groups[2] if in_groups else group
    if not group_id.isdecimal():
        raise BuildError(f"the group of the image's user `{name}` is `{group_id}`")
    return _User(id=int(user_id), group_id=int(group_id), home=home or "/")


def _entry(root: Path, file: str, wanted: str, *, fields: int) -> list[str]:
    """A line of passwd(5) or group(5), by name or number, in its fields; empty if there is none."""
    try:
        with inside(root, file).open(encoding="utf-8", errors="replace") as lines:
            text = lines.read(_PASSWD_BYTES)
    except OSError:
        return []
    for line in text.splitlines():
        found = line.split(":")
        if len(found) == fields and found[2].isdecimal() and wanted in {found[0], found[2]}:
            return found
    return []
