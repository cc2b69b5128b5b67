"""Laws of the planner: nothing for nothing, everything in order, only what is ours."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from portside.config import Endpoint, Project, Realtime, Serverless
from portside.deploy.current import Current, EndpointNow, Owned, RoleNow
from portside.deploy.plan import Step, Verb, plan, plan_removal
from portside.deploy.resources import (
    Artifact,
    Bucket,
    Desired,
    EndpointConfig,
    Kind,
    Model,
    ModelData,
    Role,
    Where,
    desired,
)
from portside.errors import DeployError

WHERE = Where(account="123456789012", region="eu-west-1")
DATA = ModelData(file=Path("model.tar.gz"), size_bytes=10, digest="ab" * 32)


def project(*endpoints: Endpoint) -> Project:
    return Project(
        root=Path("/p"),
        name="ner",
        model=None,
        precision="auto",
        handler=None,
        endpoints=endpoints or (Endpoint(name="ner", settings=Serverless()),),
    )


def wanted(*endpoints: Endpoint, data: ModelData = DATA) -> Desired:
    return desired(project(*endpoints), data, where=WHERE)


def reached(wish: Desired, status: str = "InService") -> Current:
    """The state of an account in which everything of a wish is there."""
    names = {Model: set[str](), EndpointConfig: set[str]()}
    keys, role, bucket = set[str](), None, False
    endpoints: dict[str, EndpointNow] = {}
    for resource in wish.resources:
        match resource:
            case Bucket():
                bucket = True
            case Artifact(key=key):
                keys.add(key)
            case Role(trust=trust, policy=policy, tags=tags):
                role = RoleNow(trust=trust, policy=policy, tags=tags)
            case Model(name=name) | EndpointConfig(name=name):
                names[type(resource)].add(name)
            case _:
                endpoints[resource.name] = EndpointNow(
                    status=status, config_name=resource.config_name, tags=resource.tags
                )
    return Current(
        bucket=bucket,
        artifact_keys=frozenset(keys),
        role=role,
        models=frozenset(names[Model]),
        configs=frozenset(names[EndpointConfig]),
        endpoints=endpoints,
    )


def said(steps: tuple[Step, ...]) -> list[tuple[str, str]]:
    return [(str(step.verb), str(step.kind)) for step in steps]


def test_from_nothing_everything_is_made_in_order() -> None:
    assert said(plan(wanted(), Current())) == [
        ("create", "bucket"),
        ("upload", "model artifact"),
        ("create", "role"),
        ("create", "Model"),
        ("create", "EndpointConfig"),
        ("create", "Endpoint"),
        ("wait", "Endpoint"),
    ]


def test_the_plan_of_an_applied_plan_is_empty() -> None:
    wish = wanted(
        Endpoint(name="ner-a", settings=Serverless()), Endpoint(name="ner-b", settings=Realtime())
    )

    assert plan(wish, reached(wish)) == ()


def test_an_interrupted_plan_goes_on_where_it_stopped() -> None:
    wish = wanted()
    whole = plan(wish, Current())
    state = dataclasses.replace(reached(wish), configs=frozenset(), endpoints={})

    assert plan(wish, state) == whole[-3:]


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
    ]
    assert steps[1].name not in reached(before).models


def test_another_memory_size_keeps_the_model() -> None:
    before = wanted()
    after = wanted(Endpoint(name="ner", settings=Serverless(memory_size_mb=4096)))

    assert said(plan(after, reached(before))) == [
        ("create", "EndpointConfig"),
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
    ]


@pytest.mark.parametrize("status", ["Failed", "Deleting"])
def test_an_endpoint_beyond_repair_is_made_anew(status: str) -> None:
    wish = wanted()

    assert said(plan(wish, reached(wish, status))) == [
        ("delete", "Endpoint"),
        ("create", "Endpoint"),
        ("wait", "Endpoint"),
    ]


def test_a_busy_endpoint_is_waited_for() -> None:
    wish = wanted()
    other = wanted(Endpoint(name="ner", settings=Serverless(memory_size_mb=1024)))

    same = plan(wish, reached(wish, "Updating"))
    moved = plan(other, reached(wish, "Updating"))

    assert said(same) == [("wait", "Endpoint")]
    assert [step.verb for step in moved][-3:] == [Verb.WAIT, Verb.UPDATE, Verb.WAIT]


@pytest.mark.parametrize("status", ["OutOfService", "UpdateRollbackFailed"])
def test_a_stuck_endpoint_is_updated_at_once_and_never_called_done(status: str) -> None:
    wish = wanted()
    other = wanted(Endpoint(name="ner", settings=Serverless(memory_size_mb=1024)))

    assert said(plan(wish, reached(wish, status))) == [("wait", "Endpoint")]
    assert said(plan(other, reached(wish, status)))[-2:] == [
        ("update", "Endpoint"),
        ("wait", "Endpoint"),
    ]
    assert Verb.WAIT not in [step.verb for step in plan(other, reached(wish, status))][:-1]


def test_a_role_that_drifted_is_put_right() -> None:
    wish = wanted()
    state = reached(wish)
    assert state.role is not None
    drifted = dataclasses.replace(state, role=dataclasses.replace(state.role, policy=None))

    assert said(plan(wish, drifted)) == [("update", "role")]


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


def test_names_fit_sagemaker_and_do_not_depend_on_order() -> None:
    longest = "x" * 52
    first = wanted(Endpoint(name=longest, settings=Serverless(environment={"A": "1", "B": "2"})))
    again = wanted(Endpoint(name=longest, settings=Serverless(environment={"B": "2", "A": "1"})))

    assert first == again
    assert max(len(resource.name) for resource in first.resources[3:]) == 63


def test_the_role_reads_this_projects_artifacts_only() -> None:
    (role,) = (found for found in wanted().resources if isinstance(found, Role))

    assert role.arn == "arn:aws:iam::123456789012:role/portside-ner"
    assert role.policy["Statement"][0] == {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::portside-123456789012-eu-west-1/ner/*",
    }
