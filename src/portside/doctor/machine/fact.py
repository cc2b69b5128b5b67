"""What is known of this machine, as values; `gather` asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Port(StrEnum):
    """Who has the local AWS's port."""

    FREE = "free"
    OURS = "ours"
    """The local AWS itself."""
    TAKEN = "taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """All that a check may ask of the machine."""

    target: str = "local"
    """What is deployed to: `local` or `aws`."""
    python: tuple[int, int] = (3, 11)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Modules that are not installed, by the extra that brings them."""
    needs_export: bool = False
    """Whether the project's checkpoint has to be exported."""
    engine: str | None = None
    """docker or podman with its version, where one works."""
    engine_flaw: str = ""
    """Why none does."""
    port: int = 4566
    port_state: Port = Port.FREE
    free_bytes: int = 10**12
    """Of the disk that the project lies on."""
    free_temporary_bytes: int = 10**12
    temporary: str = "/tmp"  # noqa: S108 - where no other is told
    model_bytes: int = 0
    proxies: tuple[str, ...] = ()
    """Names of the variables that lead web requests elsewhere."""
    is_loopback_direct: bool = True
    """Whether 127.0.0.1 is excepted from them."""
