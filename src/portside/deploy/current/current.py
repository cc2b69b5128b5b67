"""What is there now, as values that `observe` fills and `plan` compares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from portside.deploy.desired.resources import Kind

SETTLED: Final = frozenset({"InService", "OutOfService", "UpdateRollbackFailed"})
"""States in which SageMaker takes an update; it is what mends the last two. DG
deployment-guardrails-rolling."""

BEYOND_REPAIR: Final = frozenset({"Failed", "Deleting"})
"""States that an endpoint only leaves by its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketNow:
    """The bucket as it stands. A store that knows no public access counts as private."""

    is_encrypted: bool = True
    is_private: bool = True
    is_versioned: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleNow:
    """A role as it stands."""

    trust: dict[str, Any]
    policy: dict[str, Any] | None
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeNow:
    """A Model or an EndpointConfig that is there, and when it was made (seconds since 1970).

    `is_ours` and, of a config, `models` are only asked for where something may be removed, and
    `tags` of what is wanted where something changes; None until then.
    """

    created_at: float = 0.0
    is_ours: bool | None = None
    models: frozenset[str] | None = None
    tags: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What an endpoint runs that is not what is wanted, in AWS's spelling."""

    variants: list[dict[str, Any]]
    settings: dict[str, Any] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each variant's Model was made from, by the variant's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointNow:
    """An endpoint as it stands; `status` is SageMaker's EndpointStatus."""

    status: str
    config_name: str
    tags: dict[str, str]
    live: Live | None = None
    """None where it runs the wanted config, or where its config is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetNow:
    """A scalable target as it stands."""

    endpoint: str
    resource_id: str
    dimension: str
    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyNow:
    """A scaling policy as it stands; `configuration` in AWS's spelling."""

    name: str
    resource_id: str
    dimension: str
    configuration: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """Which of the wanted resources exist, and how they differ."""

    bucket: BucketNow | None = None
    artifact_keys: frozenset[str] = frozenset()
    repositories: dict[str, dict[str, str]] = field(default_factory=dict)
    """Tags of those that are there, by name."""
    image_digests: frozenset[str] = frozenset()
    layer_digests: frozenset[str] = frozenset()
    """Of a wanted image that is not there: the layers that are."""
    roles: dict[str, RoleNow] = field(default_factory=dict)
    models: dict[str, MadeNow] = field(default_factory=dict)
    configs: dict[str, MadeNow] = field(default_factory=dict)
    endpoints: dict[str, EndpointNow] = field(default_factory=dict)
    targets: tuple[TargetNow, ...] = ()
    policies: tuple[PolicyNow, ...] = ()
    alarms: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A resource that carries the project's tag (or lies under its prefix)."""

    kind: Kind
    name: str
    target: TargetNow | None = None
    """Of a scalable target: the whole of it."""
