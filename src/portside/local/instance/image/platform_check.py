"""Whether an image is for the processor that its instance has, on AWS and on this machine.

instance type ─▶ what AWS gives it ─┐
image's config ─▶ what it is for ───┴─ not the same: it fails at its start, as on AWS
this machine ──── not the same: it cannot be a process here
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from portside.image.platform import Platform, platform_of

if TYPE_CHECKING:
    from portside.image.oci import Config

_MACHINES: Final = {
    "x86_64": Platform.AMD64,
    "amd64": Platform.AMD64,
    "aarch64": Platform.ARM64,
    "arm64": Platform.ARM64,
}


def of_image(config: Config) -> str:
    """What an image is for."""
    return f"{config.os}/{config.architecture}"


def of_machine() -> str:
    """What programs of this machine are for."""
    machine = platform.machine().lower()
    return _MACHINES.get(machine, f"linux/{machine}")


def complaint(config: Config, *, instance_type: str | None) -> str | None:
    """Why instances of a type cannot run an image, and what to do; None where they can."""
    wanted, found = platform_of(instance_type), of_image(config)
    if wanted == found:
        return None
    instances = f"instances of type {instance_type}" if instance_type else "serverless instances"
    return (
        f"The image is for {found}, and {instances} are {wanted}: build it with"
        f" `portside build --platform {wanted}`"
    )


def warning(config: Config) -> str | None:
    """What the log says of an image that this machine cannot run by itself."""
    image, machine = of_image(config), of_machine()
    if image == machine:
        return None
    return (
        f"The image is for {image}, and this machine is {machine}: as a container it runs where the"
        " engine emulates that processor (`qemu-user-static` on Linux), and slowly"
    )
