"""What is there now, as values that `observe` fills and `plan` compares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from portside.deploy.resources import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleNow:
    """A role as it stands."""

    trust: dict[str, Any]
    policy: dict[str, Any] | None
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointNow:
    """An endpoint as it stands; `status` is SageMaker's EndpointStatus."""

    status: str
    config_name: str
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """Which of the wanted resources exist, and how they differ."""

    bucket: bool = False
    artifact_keys: frozenset[str] = frozenset()
    role: RoleNow | None = None
    models: frozenset[str] = frozenset()
    configs: frozenset[str] = frozenset()
    endpoints: dict[str, EndpointNow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A resource that carries the project's tag (or lies under its prefix)."""

    kind: Kind
    name: str
