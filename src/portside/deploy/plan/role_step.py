"""What happens to an execution role while the endpoint moves to another config (pure).

    role that differs ─▶ the rights of old and new ─▶ … the endpoint is moved, and verified …
                                                      ─▶ those of the new alone

What ran before reads its artifact, pulls its image and writes its logs until the last of its
instances is gone, and an update that fails goes back to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portside.deploy.current.current import BEYOND_REPAIR, Current, RoleNow
from portside.deploy.desired.resources import (
    TAG_NEEDS,
    TAG_PROJECT,
    TAG_VERIFIED,
    Desired,
    Endpoint,
    GivenRole,
    Role,
)
from portside.deploy.plan.step import Step, Verb, create, step
from portside.deploy.plan.tag_step import check_ours, tag_steps


def role_steps(role: Role, desired: Desired, current: Current) -> list[Step]:
    """The steps before the endpoint is touched: it may do all that is new, and what it could."""
    now = current.roles.get(role.name)
    if now is None:
        return [create(role)]
    check_ours(f"role `{role.name}`", now.tags, role.tags[TAG_PROJECT])
    meanwhile = replace(role, policy=_meanwhile(role, now, desired, current))
    update = []
    if now.trust != role.trust or now.policy != meanwhile.policy:
        reason = "its policies differ"
        if meanwhile.policy != role.policy:
            reason += "; what runs keeps its rights until the new config is verified"
        update = [step(Verb.UPDATE, meanwhile, reason)]
    return [*update, *tag_steps(role, now.tags)]


def narrow_steps(desired: Desired, current: Current) -> list[Step]:
    """The steps after the endpoints are verified: what nothing needs any more is not allowed."""
    return [
        step(Verb.UPDATE, role, "what ran before needs no rights any more")
        for role in desired.resources
        if isinstance(role, Role)
        and (now := current.roles.get(role.name)) is not None
        and _meanwhile(role, now, desired, current) != role.policy
    ]


def given_role_steps(role: GivenRole, desired: Desired, current: Current) -> list[Step]:
    """A role of the user's is looked at where something new is to run, or to be allowed, with it.

    What it was last checked for stands in a tag of the endpoint, which is set after the check.
    """
    endpoint = _endpoint_of(role, desired)
    now = current.endpoints.get(endpoint.name)
    is_new = any(
        model.role_arn == role.arn and model.name not in current.models
        for model in desired.models.values()
    )
    if is_new or now is None:
        return [step(Verb.CHECK, role, "must allow what the endpoint needs")]
    if now.tags.get(TAG_NEEDS) != endpoint.tags[TAG_NEEDS]:
        return [step(Verb.CHECK, role, "must allow what the endpoint needs from now on")]
    return []


def _meanwhile(role: Role, now: RoleNow, desired: Desired, current: Current) -> dict[str, Any]:
    """The policy while the endpoint may run what it ran before; the wanted one where it cannot.

    Statements are kept whole, so what is there already is not added once more: the plan of a
    deployment that was cut comes to the same policy.
    """
    if now.policy is None or not _may_run_another(_endpoint_of(role, desired), current):
        return role.policy
    before = now.policy.get("Statement", [])
    more = [one for one in role.policy["Statement"] if one not in before]
    fewer = [one for one in before if one not in role.policy["Statement"]]
    return now.policy | {"Statement": [*before, *more]} if fewer else role.policy


def _may_run_another(endpoint: Endpoint, current: Current) -> bool:
    """Whether an endpoint that lives is not known to run the wanted config, and nothing else."""
    now = current.endpoints.get(endpoint.name)
    if now is None or now.status in BEYOND_REPAIR:
        return False
    is_there = now.status == "InService" and now.config_name == endpoint.config_name
    return not (is_there and now.tags.get(TAG_VERIFIED) == endpoint.config_name)


def _endpoint_of(role: Role | GivenRole, desired: Desired) -> Endpoint:
    return next(one for one in desired.endpoints if one.name == role.endpoint)
