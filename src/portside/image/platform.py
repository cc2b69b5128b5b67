"""What machines an image is for, and how others call them."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never


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
