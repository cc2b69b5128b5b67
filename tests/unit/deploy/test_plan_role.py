"""Roles in a plan: rights come before what needs them, and go after what needed them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from portside.config import Async, CaptureSection, Endpoint, EndpointKind, Realtime, RolloutSection
from portside.deploy.current.current import Current, RoleNow
from portside.deploy.desired.resources import TAG_VERIFIED, Desired, Role
from portside.deploy.plan.plan import plan
from portside.deploy.plan.step import Step, Verb
from tests.unit.deploy.deploy_parts import reached, said, wanted

CAPTURING = Realtime(capture=CaptureSection())
PLAIN = Realtime()
MINE = "arn:aws:iam::123456789012:role/mine"


def of(settings: EndpointKind) -> Desired:
    return wanted(Endpoint(name="ner", settings=settings))


def policy_of(wish: Desired) -> dict[str, Any]:
    (role,) = (found for found in wish.resources if isinstance(found, Role))
    return role.policy


def allowed(step: Step) -> list[dict[str, Any]]:
    assert isinstance(step.wanted, Role)
    statements: list[dict[str, Any]] = step.wanted.policy["Statement"]
    return statements


def with_policy(state: Current, policy: dict[str, Any]) -> Current:
    roles = {name: dataclasses.replace(now, policy=policy) for name, now in state.roles.items()}
    return dataclasses.replace(state, roles=roles)


def role_updates(steps: tuple[Step, ...]) -> list[Step]:
    return [step for step in steps if (step.verb, str(step.kind)) == (Verb.UPDATE, "role")]


def test_what_runs_keeps_its_rights_until_the_new_config_is_verified() -> None:
    before, after = of(Async()), of(CAPTURING)

    steps = plan(after, reached(before, after))

    widened, narrowed = role_updates(steps)
    both = (*policy_of(before)["Statement"], *policy_of(after)["Statement"])
    assert all(one in allowed(widened) for one in both)
    assert allowed(narrowed) == policy_of(after)["Statement"]
    order = said(steps)
    assert steps.index(widened) < order.index(("update", "Endpoint"))
    assert steps.index(narrowed) > order.index(("verify", "Endpoint"))
    assert widened.id != narrowed.id
    assert "keeps its rights" in widened.reason


def test_rights_that_only_come_are_given_before() -> None:
    before, after = of(PLAIN), of(CAPTURING)

    steps = plan(after, reached(before, after))

    (update,) = role_updates(steps)
    assert allowed(update) == policy_of(after)["Statement"]
    assert steps.index(update) < said(steps).index(("update", "Endpoint"))


def test_rights_that_only_go_are_taken_after() -> None:
    before, after = of(CAPTURING), of(PLAIN)

    steps = plan(after, reached(before, after))

    (update,) = role_updates(steps)
    assert allowed(update) == policy_of(after)["Statement"]
    assert steps.index(update) > said(steps).index(("verify", "Endpoint"))


def test_who_was_cut_in_between_ends_with_the_new_rights_alone() -> None:
    before, after = of(Async()), of(CAPTURING)
    widened, _ = role_updates(plan(after, reached(before, after)))
    assert isinstance(widened.wanted, Role)

    # before the endpoint was updated, before it was verified, and before the last step
    not_yet = plan(after, with_policy(reached(before, after), widened.wanted.policy))
    there = with_policy(reached(after), widened.wanted.policy)
    (now,) = there.endpoints.values()
    tags = {key: value for key, value in now.tags.items() if key != TAG_VERIFIED}
    unverified = dataclasses.replace(there, endpoints={"ner": dataclasses.replace(now, tags=tags)})

    for steps in (not_yet, plan(after, unverified), plan(after, there)):
        (narrowed,) = role_updates(steps)
        assert allowed(narrowed) == policy_of(after)["Statement"]
        assert steps[-1] is narrowed
    assert said(plan(after, unverified)) == [("verify", "Endpoint"), ("update", "role")]
    assert plan(after, reached(after)) == ()


def test_where_nothing_runs_nothing_keeps_rights() -> None:
    before, after = of(CAPTURING), of(PLAIN)
    failed = reached(before, after, status="Failed")
    gone = dataclasses.replace(failed, endpoints={})

    for state in (failed, gone):
        (update,) = role_updates(plan(after, state))
        assert allowed(update) == policy_of(after)["Statement"]


def test_the_same_policy_is_no_step() -> None:
    before = of(Realtime(environment={"A": "1"}))
    after = of(Realtime(environment={"A": "2"}))

    assert role_updates(plan(after, reached(before, after))) == []


# --- A role of the user's ---------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        Realtime(role=MINE, capture=CaptureSection()),  # of the config alone
        Realtime(role=MINE, kms_key="arn:aws:kms:eu-west-1:123456789012:key/1"),
        Realtime(role=MINE, rollout=RolloutSection(alarms=("slow",))),  # of nothing that is made
    ],
)
def test_a_role_of_the_users_is_checked_whenever_it_must_allow_more(changed: Realtime) -> None:
    before, after = of(Realtime(role=MINE)), of(changed)

    steps = said(plan(after, reached(before, after)))

    assert steps[0] == ("check", "role")
    assert ("tag", "Endpoint") in steps
    assert plan(after, reached(after)) == ()


def test_a_role_of_the_users_that_must_allow_the_same_is_left_alone() -> None:
    before = of(Realtime(role=MINE))
    after = of(Realtime(role=MINE, instance_count=2))

    steps = said(plan(after, reached(before, after)))

    assert ("create", "EndpointConfig") in steps
    assert ("check", "role") not in steps


def test_two_endpoints_with_one_role_of_the_users_are_two_checks() -> None:
    wish = wanted(
        Endpoint(name="ner-a", settings=Realtime(role=MINE)),
        Endpoint(name="ner-b", settings=Realtime(role=MINE)),
    )

    checks = [step.id for step in plan(wish, Current()) if step.verb is Verb.CHECK]

    assert checks == ["check role mine for ner-a", "check role mine for ner-b"]


def test_trust_that_drifted_is_put_right() -> None:
    wish = of(PLAIN)
    state = reached(wish)
    roles = {
        name: RoleNow(trust={}, policy=now.policy, tags=now.tags)
        for name, now in state.roles.items()
    }

    assert said(plan(wish, dataclasses.replace(state, roles=roles))) == [("update", "role")]
