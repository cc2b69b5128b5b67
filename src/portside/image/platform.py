"""What machines an image is for, and how others call them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, assert_never

_ARM64_TYPE: Final = re.compile(r"ml\.[a-z]+[0-9]+(g[a-z]*|[a-z]*-gb[0-9]+)\..+")
"""A `g` after the generation is Graviton: c6g, m7g, r6gd; g4dn and g5 are of Intel and AMD. `gb200`
is Nvidia's Grace. EC2 User Guide, "Instance type naming conventions"."""


class Platform(StrEnum):
    """The platforms of SageMaker's instances: Intel and AMD, Graviton."""

    AMD64 = "linux/amd64"
    ARM64 = "linux/arm64"

    @property
    def architecture(self) -> str:
        """As images name it."""
        return self.removeprefix("linux/")

    @property
    def wheel_tag(self) -> str:
        """As `uv` names it. glibc 2.28 is in every Debian since 10 and Amazon Linux 2023."""
        match self:
            case Platform.AMD64:
                return "x86_64-manylinux_2_28"
            case Platform.ARM64:
                return "aarch64-manylinux_2_28"
            case _:
                assert_never(self)

    @property
    def elf_machine(self) -> int:
        """`e_machine` of programs and libraries: EM_X86_64, EM_AARCH64 of <elf.h>."""
        match self:
            case Platform.AMD64:
                return 62
            case Platform.ARM64:
                return 183
            case _:
                assert_never(self)


def platform_of(instance_type: str | None) -> Platform:
    """What instances of a type run; serverless (None) is Intel and AMD. DG serverless-endpoints."""
    is_arm64 = instance_type is not None and _ARM64_TYPE.fullmatch(instance_type)
    return Platform.ARM64 if is_arm64 else Platform.AMD64
