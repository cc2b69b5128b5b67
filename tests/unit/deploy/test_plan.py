"""Laws of the planner: nothing for nothing, everything in order, only what is ours."""

from __future__ import annotations

import dataclasses

import pytest

from portside.config import (
    Async,
    AsyncScalingSection,
    Endpoint,
    EndpointKind,
    Realtime,
    ScalingSection,
    Serverless,
)
from portside.deploy.current.current import BucketNow, Current, Live, MadeNow, Owned
from portside.deploy.desired.resources import GivenRole, Kind, Role
from portside.deploy.plan.plan import Verb, plan, plan_removal
from portside.errors import DeployError
from tests.unit.deploy.deploy_parts import DATA, reached, said, wanted

REALTIME = Realtime(instance_type="ml.m5.large")
SCALED = Realtime(scaling=ScalingSection(max_instances=3, target=100))


def endpoint(settings: EndpointKind) -> Endpoint:
    return Endpoint(name="ner", settings=settings)


def test_from_nothing_everything_is_made_in_order() -> None:
    assert said(plan(wanted(), Current())) == [
        ("create", "bucket"),
        ("upload", "model artifact"),
        ("create", "role"),
        ("create", "Model"),
        ("create", "EndpointConfig"),
        ("create", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
    ]


def test_the_plan_of_an_applied_plan_is_empty() -> None:
    wish = wanted(
        Endpoint(name="ner-a", settings=Serverless()), Endpoint(name="ner-b", settings=Realtime())
    )

    assert plan(wish, reached(wish)) == ()


def test_an_interrupted_plan_goes_on_where_it_stopped() -> None:
    wish = wanted()
    whole = plan(wish, Current())
    state = dataclasses.replace(reached(wish), configs={}, endpoints={})

    assert plan(wish, state) == whole[-4:]


def test_a_new_artifact_makes_new_names_and_moves_the_endpoint() -> None:
    before = wanted()
    after = wanted(data=dataclasses.replace(DATA, digest="cd" * 32))

    steps = plan(after, reached(before))

    assert said(steps) == [
        ("upload", "model artifact"),
        ("create", "Model"),
        ("create", "EndpointConfig"),
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
    ]
    assert steps[1].name not in reached(before).models


def test_another_memory_size_keeps_the_model() -> None:
    before = wanted()
    after = wanted(endpoint(Serverless(memory_size_mb=4096)))

    assert said(plan(after, reached(before))) == [
        ("create", "EndpointConfig"),
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
    ]


@pytest.mark.parametrize("status", ["Failed", "Deleting"])
def test_an_endpoint_beyond_repair_is_made_anew(status: str) -> None:
    wish = wanted()

    assert said(plan(wish, reached(wish, status=status))) == [
        ("delete", "Endpoint"),
        ("create", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
    ]


def test_a_busy_endpoint_is_waited_for() -> None:
    wish = wanted()
    other = wanted(Endpoint(name="ner", settings=Serverless(memory_size_mb=1024)))

    same = plan(wish, reached(wish, status="Creating"))
    moved = plan(other, reached(wish, status="Updating"))

    assert said(same) == [("wait", "Endpoint")]
    assert [step.verb for step in moved][-4:-1] == [Verb.WAIT, Verb.UPDATE, Verb.WAIT]


@pytest.mark.parametrize("status", ["OutOfService", "UpdateRollbackFailed"])
def test_a_stuck_endpoint_is_updated_at_once_and_never_called_done(status: str) -> None:
    wish = wanted()
    other = wanted(Endpoint(name="ner", settings=Serverless(memory_size_mb=1024)))

    assert said(plan(wish, reached(wish, status=status))) == [("wait", "Endpoint")]
    assert said(plan(other, reached(wish, status=status)))[-3:] == [
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
    ]
    assert Verb.WAIT not in [step.verb for step in plan(other, reached(wish, status=status))][:-2]


def test_who_was_never_seen_to_answer_is_asked_though_nothing_else_is_to_be_done() -> None:
    wish = wanted()
    state = reached(wish)
    endpoints = {
        name: dataclasses.replace(now, tags=wish.endpoints[0].tags)
        for name, now in state.endpoints.items()
    }

    steps = plan(wish, dataclasses.replace(state, endpoints=endpoints))

    assert said(steps) == [("verify", "Endpoint")]


def test_a_role_that_drifted_is_put_right() -> None:
    wish = wanted()
    state = reached(wish)
    roles = {name: dataclasses.replace(role, policy=None) for name, role in state.roles.items()}

    assert said(plan(wish, dataclasses.replace(state, roles=roles))) == [("update", "role")]


def test_a_bucket_that_is_open_is_closed() -> None:
    wish = wanted()
    state = dataclasses.replace(reached(wish), bucket=BucketNow(is_private=False))

    (step,) = plan(wish, state)

    assert (step.verb, step.kind) == (Verb.UPDATE, Kind.BUCKET)
    assert [change.field for change in step.changes] == ["PublicAccessBlock"]


@pytest.mark.parametrize("tags", [{}, {"portside:project": "other"}])
def test_what_belongs_to_somebody_else_is_never_touched(tags: dict[str, str]) -> None:
    wish = wanted()
    state = reached(wish)
    endpoints = {name: dataclasses.replace(now, tags=tags) for name, now in state.endpoints.items()}

    with pytest.raises(DeployError, match="cannot use the endpoint `ner`"):
        plan(wish, dataclasses.replace(state, endpoints=endpoints))


def test_removal_goes_from_what_points_to_what_is_pointed_at() -> None:
    owned = (
        Owned(kind=Kind.ROLE, name="portside-ner"),
        Owned(kind=Kind.MODEL, name="ner-1"),
        Owned(kind=Kind.ENDPOINT, name="ner"),
        Owned(kind=Kind.ARTIFACT, name="s3://b/ner/1/model.tar.gz"),
        Owned(kind=Kind.CONFIG, name="ner-2"),
    )

    steps = plan_removal(owned)

    assert [step.kind for step in steps] == [
        Kind.ENDPOINT,
        Kind.CONFIG,
        Kind.MODEL,
        Kind.ARTIFACT,
        Kind.ROLE,
    ]
    assert {step.verb for step in steps} == {Verb.DELETE}


# --- What changes, and why -------------------------------------------------------


def test_a_change_is_told_field_by_field() -> None:
    before = wanted(endpoint(Serverless(environment={"A": "1", "B": "2"})))
    after = wanted(endpoint(Serverless(environment={"A": "3", "C": ""}, memory_size_mb=4096)))

    steps = plan(after, reached(before, after))

    changes = {
        (step.kind, change.field): (change.old, change.new)
        for step in steps
        for change in step.changes
        if step.kind in {Kind.MODEL, Kind.CONFIG}
    }
    assert changes == {
        (Kind.MODEL, "Environment.A"): ("set", "set to another value"),
        (Kind.MODEL, "Environment.B"): ("set", None),
        (Kind.MODEL, "Environment.C"): (None, "set"),
        (Kind.CONFIG, "AllTraffic.ServerlessConfig.MemorySizeInMB"): (2048, 4096),
    }


def test_no_step_shows_what_a_variable_holds() -> None:
    before = wanted(endpoint(Serverless(environment={"TOKEN": "hunter1"})))
    after = wanted(endpoint(Serverless(environment={"TOKEN": "hunter2"})))

    for steps in (plan(before, Current()), plan(after, reached(before, after))):
        told = [(step.id, step.reason, step.changes) for step in steps]
        assert "hunter" not in repr(told)


def test_another_kind_of_capacity_takes_the_place_of_the_old_one() -> None:
    before, after = wanted(), wanted(endpoint(REALTIME))

    (config,) = (step for step in plan(after, reached(before, after)) if step.kind is Kind.CONFIG)

    assert {change.field: (change.old, change.new) for change in config.changes} == {
        "AllTraffic.InstanceType": (None, "ml.m5.large"),
        "AllTraffic.InitialInstanceCount": (None, 1),
        "AllTraffic.ServerlessConfig.MemorySizeInMB": (2048, None),
        "AllTraffic.ServerlessConfig.MaxConcurrency": (5, None),
    }


def test_a_tag_that_changes_changes_no_name() -> None:
    before = wanted(endpoint(Serverless(ttl="8h")))
    after = wanted(endpoint(Serverless(ttl="7d")))

    (step,) = plan(after, reached(before))

    assert (step.verb, step.kind) == (Verb.TAG, Kind.ENDPOINT)
    assert [(one.field, one.old, one.new) for one in step.changes] == [("portside:ttl", "8h", "7d")]


def test_from_instances_to_serverless_is_refused_as_sagemaker_would() -> None:
    before, after = wanted(endpoint(REALTIME)), wanted()

    with pytest.raises(DeployError, match="cannot make the endpoint `ner` serverless"):
        plan(after, reached(before, after))
    assert said(plan(before, reached(after, before)))[-3:] == [
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
    ]


def test_a_role_of_the_users_is_checked_where_something_new_runs_with_it() -> None:
    wish = wanted(endpoint(Serverless(role="arn:aws:iam::123456789012:role/mine")))

    steps = plan(wish, Current())

    assert ("check", "role") in said(steps)
    assert not any(isinstance(resource, Role) for resource in wish.resources)
    assert any(isinstance(step.wanted, GivenRole) for step in steps)
    assert plan(wish, reached(wish)) == ()


# --- Auto scaling ----------------------------------------------------------------


def test_scaling_comes_after_the_endpoint_is_in_service() -> None:
    assert said(plan(wanted(endpoint(SCALED)), Current()))[-5:] == [
        ("create", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
        ("create", "scalable target"),
        ("create", "scaling policy"),
    ]


def test_an_update_leaves_the_instances_that_auto_scaling_counts() -> None:
    before = wanted(endpoint(SCALED))
    after = wanted(endpoint(SCALED), data=dataclasses.replace(DATA, digest="cd" * 32))

    (update,) = (step for step in plan(after, reached(before, after)) if step.verb is Verb.UPDATE)

    assert getattr(update.wanted, "retain_capacity", None) is True


def test_a_target_in_the_way_of_an_update_is_released_and_registered_anew() -> None:
    before = wanted(endpoint(SCALED))
    after = wanted(endpoint(Realtime(instance_type="ml.c5.large", scaling=SCALED.scaling)))

    assert said(plan(after, reached(before, after))) == [
        ("create", "EndpointConfig"),
        ("delete", "scalable target"),
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
        ("verify", "Endpoint"),
        ("create", "scalable target"),
        ("create", "scaling policy"),
    ]


def test_the_alarm_of_a_policy_that_is_made_anew_is_made_anew() -> None:
    before = wanted(endpoint(Async(scaling=AsyncScalingSection())))
    scaled = Async(scaling=AsyncScalingSection(), instance_type="ml.c5.large")
    after = wanted(endpoint(scaled))

    steps = said(plan(after, reached(before, after)))

    assert ("delete", "alarm") in steps, "it acts on an ARN that is no more"
    assert steps.index(("delete", "alarm")) < steps.index(("create", "scaling policy"))


def test_what_is_scaled_is_registered_anew_with_an_endpoint_that_is_made_anew() -> None:
    wish = wanted(endpoint(SCALED))

    steps = said(plan(wish, reached(wish, status="Failed")))

    gone, made = ("delete", "scalable target"), ("create", "Endpoint")
    assert steps.index(gone) < steps.index(made)
    assert steps[-2:] == [("create", "scalable target"), ("create", "scaling policy")]


def test_an_update_under_way_may_lead_elsewhere_than_it_says() -> None:
    steps = plan(wanted(), reached(wanted(), status="Updating"))

    assert [step.verb for step in steps][:3] == [Verb.WAIT, Verb.UPDATE, Verb.WAIT]
    assert steps[0].wanted is None, "on whatever config"


def test_other_bounds_and_other_targets_are_put() -> None:
    before = wanted(endpoint(SCALED))
    after = wanted(endpoint(Realtime(scaling=ScalingSection(max_instances=5, target=50))))

    steps = plan(after, reached(before))

    assert said(steps) == [("update", "scalable target"), ("update", "scaling policy")]
    assert [(one.field, one.new) for step in steps for one in step.changes] == [
        ("MaxCapacity", 5),
        ("TargetValue", 50.0),
    ]


# --- What is left behind ---------------------------------------------------------


def with_history(count: int, *, is_ours: bool | None = True) -> Current:
    """The wanted state with so many earlier configs and their Models, the oldest first."""
    state = reached(wanted())
    numbers = [f"ner-{number:010x}" for number in range(count)]
    older = {
        name: MadeNow(created_at=age, is_ours=is_ours, models=frozenset({name}))
        for age, name in enumerate(numbers)
    }
    return dataclasses.replace(state, configs=state.configs | older, models=state.models | older)


def test_the_last_three_configs_stay_for_a_rollback() -> None:
    assert plan(wanted(), with_history(3)) == ()
    assert [(step.verb, step.kind, step.name) for step in plan(wanted(), with_history(5))] == [
        (Verb.DELETE, Kind.CONFIG, "ner-0000000001"),
        (Verb.DELETE, Kind.CONFIG, "ner-0000000000"),
        (Verb.DELETE, Kind.MODEL, "ner-0000000000"),
        (Verb.DELETE, Kind.MODEL, "ner-0000000001"),
    ]


@pytest.mark.parametrize("is_ours", [False, None])
def test_what_lacks_the_tag_is_never_pruned(is_ours: bool | None) -> None:
    assert plan(wanted(), with_history(9, is_ours=is_ours)) == ()


def test_what_runs_now_is_kept_however_old() -> None:
    state = with_history(6)
    now = dataclasses.replace(
        state.endpoints["ner"], config_name="ner-0000000000", live=Live(variants=[])
    )
    state = dataclasses.replace(state, endpoints={"ner": now})

    deleted = {step.name for step in plan(wanted(), state) if step.verb is Verb.DELETE}

    assert deleted == {"ner-0000000001", "ner-0000000002", "ner-0000000003"}
