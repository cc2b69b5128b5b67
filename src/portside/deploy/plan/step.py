"""One thing to do, as a value that can be shown, kept in a journal, and carried out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from portside.deploy.current.current import PolicyNow, TargetNow
from portside.deploy.desired.name import DIGEST_LENGTH, digest_of
from portside.deploy.desired.resources import Endpoint, GivenRole, Kind, Resource, Role
from portside.deploy.plan.difference import Change


class Verb(StrEnum):
    """What a step does to its resource."""

    CREATE = "create"
    UPLOAD = "upload"
    UPDATE = "update"
    TAG = "tag"
    VERIFY = "verify"
    CHECK = "check"
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
    changes: tuple[Change, ...] = ()
    """The fields that change; empty where the resource is new, or only goes."""
    existing: TargetNow | PolicyNow | None = None
    """Of auto scaling, whose names alone do not say all: what is removed."""
    size_bytes: int = 0
    """What is to be sent."""

    @property
    def id(self) -> str:
        """The same for the same step of the same plan, whenever it is made; none has it twice."""
        name = f"{self.verb} {self.kind} {self.name}"
        match self.wanted:
            case Endpoint(config_name=config):
                return f"{name} to {config}"
            case GivenRole(endpoint=endpoint):
                return f"{name} for {endpoint}"
            case Role(policy=policy) if self.verb is Verb.UPDATE:
                return f"{name} to {digest_of(policy)[:DIGEST_LENGTH]}"
            case _:
                return name


def step(
    verb: Verb,
    resource: Resource,
    reason: str,
    changes: tuple[Change, ...] = (),
    *,
    size_bytes: int = 0,
) -> Step:
    """A step towards a wanted resource."""
    return Step(
        verb=verb,
        kind=resource.kind,
        name=resource.name,
        reason=reason,
        wanted=resource,
        changes=changes,
        size_bytes=size_bytes,
    )


def create(resource: Resource) -> Step:
    """The step that makes what is not there."""
    return step(Verb.CREATE, resource, "does not exist")
