"""Tags: whose a resource is, and what changes of them (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from portside.deploy.desired import tag
from portside.deploy.desired.resources import (
    TAG_PROJECT,
    Endpoint,
    EndpointConfig,
    Model,
    Repository,
    Role,
)
from portside.deploy.plan.difference import Change
from portside.deploy.plan.step import Step, Verb, step
from portside.errors import DeployError


def tag_steps(
    resource: Endpoint | EndpointConfig | Model | Repository | Role, now: Mapping[str, str] | None
) -> list[Step]:
    """The step that sets the tags of what is there; none where nobody asked for them (None)."""
    if now is None:
        return []
    changes = {
        key: Change(field=key, old=now.get(key), new=value)
        for key, value in tag.added(resource.tags, now).items()
    } | {key: Change(field=key, old=now[key], new=None) for key in tag.removed(resource.tags, now)}
    ordered = tuple(changes[key] for key in sorted(changes))
    return [step(Verb.TAG, resource, "has other tags", ordered)] if ordered else []


def check_ours(what: str, tags: Mapping[str, str], project: str) -> None:
    """Raise `DeployError` where a resource is not the project's."""
    owner = tags.get(TAG_PROJECT)
    if owner != project:
        whose = f"belongs to the project `{owner}`" if owner else "was not made by Portside"
        raise DeployError(
            f"cannot use the {what}: it {whose}",
            hint="choose another `name` in `portside.toml`",
        )
