"""The difference between what is wanted and what is there, as a flat list of steps (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from portside.deploy.current import Current, EndpointNow, Owned, RoleNow
from portside.deploy.resources import (
    TAG_PROJECT,
    Artifact,
    Bucket,
    Desired,
    Endpoint,
    EndpointConfig,
    Kind,
    Model,
    Resource,
    Role,
)
from portside.errors import DeployError


class Verb(StrEnum):
    """What a step does to its resource."""

    CREATE = "create"
    UPLOAD = "upload"
    UPDATE = "update"
    WAIT = "wait"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, with the reason that a user reads."""

    verb: Verb
    kind: Kind
    name: str
    reason: str
    wanted: Resource | None = None
    """What to make of it; None where it is only removed, or waited for as it is."""


def plan(desired: Desired, current: Current) -> tuple[Step, ...]:
    """The steps from `current` to `desired`, in order; none where nothing differs.

    Raises `DeployError` where a resource of that name is not this project's.
    """
    return tuple(
        step for resource in desired.resources for step in _steps(resource, desired, current)
    )


_REMOVAL_ORDER = (Kind.ENDPOINT, Kind.CONFIG, Kind.MODEL, Kind.ARTIFACT, Kind.ROLE)
"""What points at others goes first; the bucket is shared and stays."""


def plan_removal(owned: tuple[Owned, ...]) -> tuple[Step, ...]:
    """The steps that remove what a project owns."""
    return tuple(
        Step(verb=Verb.DELETE, kind=kind, name=found.name, reason="made by this project")
        for kind in _REMOVAL_ORDER
        for found in owned
        if found.kind is kind
    )


def _steps(resource: Resource, desired: Desired, current: Current) -> list[Step]:
    match resource:
        case Bucket():
            return [] if current.bucket else [_create(resource)]
        case Artifact():
            missing = resource.key not in current.artifact_keys
            return [_step(Verb.UPLOAD, resource, "is not on S3 yet")] if missing else []
        case Role():
            return _role_steps(resource, current.role)
        case Model() | EndpointConfig():
            names = current.models if isinstance(resource, Model) else current.configs
            return [] if resource.name in names else [_create(resource)]
        case Endpoint():
            return _endpoint_steps(resource, current.endpoints.get(resource.name), desired)
        case _:
            assert_never(resource)


def _step(verb: Verb, resource: Resource, reason: str) -> Step:
    return Step(verb=verb, kind=resource.kind, name=resource.name, reason=reason, wanted=resource)


def _create(resource: Resource) -> Step:
    return _step(Verb.CREATE, resource, "does not exist")


def _role_steps(role: Role, now: RoleNow | None) -> list[Step]:
    if now is None:
        return [_create(role)]
    _check_ours(f"role `{role.name}`", now.tags, role.tags[TAG_PROJECT])
    if now.trust != role.trust or now.policy != role.policy:
        return [_step(Verb.UPDATE, role, "its policies differ")]
    return []


def _endpoint_steps(endpoint: Endpoint, now: EndpointNow | None, desired: Desired) -> list[Step]:
    """An endpoint's way to the wanted config, from whatever state it is in."""
    if now is None:
        return [_create(endpoint), _wait(endpoint, "until it is InService")]
    _check_ours(f"endpoint `{endpoint.name}`", now.tags, desired.project)
    if now.status in {"Failed", "Deleting"}:
        # SageMaker allows nothing but deletion of a Failed endpoint.
        return [
            _step(Verb.DELETE, endpoint, f"is {now.status}"),
            _step(Verb.CREATE, endpoint, "is wanted anew"),
            _wait(endpoint, "until it is InService"),
        ]
    if now.config_name == endpoint.config_name:
        return [] if now.status == "InService" else [_wait(endpoint, f"is {now.status}")]
    return [
        *_calm(endpoint, now),
        _step(Verb.UPDATE, endpoint, f"runs `{now.config_name}`"),
        _wait(endpoint, "until it is InService"),
    ]


def _calm(endpoint: Endpoint, now: EndpointNow) -> list[Step]:
    """Wait for what is going on to end, on whatever config; an update mends what is stuck."""
    if now.status in {"InService", "OutOfService", "UpdateRollbackFailed"}:
        return []
    reason = f"is {now.status}"
    return [Step(verb=Verb.WAIT, kind=endpoint.kind, name=endpoint.name, reason=reason)]


def _wait(endpoint: Endpoint, reason: str) -> Step:
    return _step(Verb.WAIT, endpoint, reason)


def _check_ours(what: str, tags: dict[str, str], project: str) -> None:
    owner = tags.get(TAG_PROJECT)
    if owner != project:
        whose = f"belongs to the project `{owner}`" if owner else "was not made by Portside"
        raise DeployError(
            f"cannot use the {what}: it {whose}",
            hint="choose another `name` in `portside.toml`",
        )
