"""Laws of the planner, whatever the project and whatever is there already."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from portside.config import (
    Async,
    AsyncScalingSection,
    CaptureSection,
    Endpoint,
    ProvisionedScalingSection,
    Realtime,
    RolloutSection,
    ScalingSection,
    Serverless,
    VariantSection,
)
from portside.deploy.current.current import Current, Owned
from portside.deploy.desired.resources import Desired, ImageData, Kind
from portside.deploy.plan.plan import plan, plan_removal
from portside.deploy.plan.step import Step, Verb
from portside.errors import DeployError
from tests.unit.deploy.deploy_parts import DATA, IMAGE, reached, wanted

DIGESTS = st.sampled_from(["ab" * 32, "cd" * 32])
ENVIRONMENTS = st.dictionaries(st.sampled_from("AB"), st.sampled_from("12"))
SCALING = st.none() | st.builds(
    ScalingSection, max_instances=st.integers(1, 4), target=st.sampled_from([10.0, 20.0])
)
ASYNC_SCALING = st.none() | st.builds(
    AsyncScalingSection, min_instances=st.integers(0, 1), max_instances=st.integers(1, 3)
)
PROVISIONED = st.none() | st.builds(ProvisionedScalingSection, max_concurrency=st.integers(1, 5))
VARIANTS = st.sampled_from(
    [
        (),
        (VariantSection(name="a"), VariantSection(name="b", weight=0.1)),
        (VariantSection(name="a", environment={"A": "9"}),),
    ]
)
TYPES = st.sampled_from(["ml.m5.large", "ml.c5.large"])
TTL = st.sampled_from([None, "8h", "7d"])
KINDS = (
    st.builds(
        Serverless,
        environment=ENVIRONMENTS,
        max_concurrency=st.just(5),
        provisioned_concurrency=st.just(1),
        scaling=PROVISIONED,
        ttl=TTL,
    ),
    st.builds(
        Realtime,
        environment=ENVIRONMENTS,
        instance_type=TYPES,
        variants=VARIANTS,
        scaling=SCALING,
        capture=st.sampled_from([None, CaptureSection()]),
        rollout=st.sampled_from([None, RolloutSection(kind="canary", step_percent=10)]),
        ttl=TTL,
    ),
    st.builds(Async, instance_type=TYPES, scaling=ASYNC_SCALING, ttl=TTL),
)
IMAGES = st.sampled_from(
    [None, IMAGE, ImageData(digest=f"sha256:{'34' * 32}", blobs={"sha256:layer": 5})]
)
STATUSES = st.sampled_from(["InService", "Updating", "Failed", "OutOfService"])


FEW = settings(max_examples=40, deadline=None)


@st.composite
def wishes(draw: st.DrawFn) -> Desired:
    count = draw(st.integers(1, 2))
    endpoints = [
        Endpoint(name=f"ner-{number}", settings=draw(st.one_of(KINDS))) for number in range(count)
    ]
    data = dataclasses.replace(DATA, digest=draw(DIGESTS))
    return wanted(*endpoints, data=data, image=draw(IMAGES))


@FEW
@given(wishes())
def test_the_plan_of_an_applied_plan_is_empty(wish: Desired) -> None:
    assert plan(wish, reached(wish)) == ()


@FEW
@given(wishes(), wishes(), STATUSES)
def test_a_plan_leads_from_any_state_to_the_wanted_one(
    before: Desired, after: Desired, status: str
) -> None:
    state = reached(before, after, status=status)
    try:
        steps = plan(after, state)
    except DeployError:  # from instances to serverless
        return

    assert_ordered(steps, state)
    made = {(step.kind, step.name) for step in steps if step.verb is not Verb.DELETE}
    for resource in after.resources:
        there = resource in before.resources or (resource.kind, resource.name) in made
        assert there or resource.kind in {Kind.BUCKET, Kind.ROLE, Kind.MODEL, Kind.REPOSITORY}, (
            resource
        )


@FEW
@given(wishes(), st.data())
def test_a_plan_that_was_cut_goes_on_where_it_stopped(wish: Desired, data: st.DataObject) -> None:
    whole = plan(wish, Current())
    cut = data.draw(st.integers(0, len(whole)))

    state = reached(_done(wish, whole[:cut]))

    assert [step.id for step in plan(wish, state)] == [
        step.id
        for step in whole[cut:]
        # What is waited for is InService and verified by now, in the state that is assumed here.
        if not (
            step.verb in {Verb.WAIT, Verb.VERIFY}
            and f"create Endpoint {step.name}" in _ids(whole[:cut])
        )
    ]


@FEW
@given(wishes())
def test_no_step_has_the_id_of_another(wish: Desired) -> None:
    steps = plan(wish, Current())

    assert len({step.id for step in steps}) == len(steps)


@FEW
@given(st.lists(st.builds(Owned, kind=st.sampled_from(Kind), name=st.text(max_size=3))))
def test_a_removal_removes_what_it_is_told_and_nothing_else(owned: list[Owned]) -> None:
    removable = [found for found in owned if found.kind is not Kind.BUCKET]

    steps = plan_removal(tuple(owned))

    assert sorted((step.kind, step.name) for step in steps) == sorted(
        (found.kind, found.name) for found in removable
    )
    assert {step.verb for step in steps} <= {Verb.DELETE}
    ranks = [REMOVAL.index(step.kind) for step in steps if step.kind in REMOVAL]
    assert ranks == sorted(ranks)


REMOVAL = [Kind.SCALABLE_TARGET, Kind.ENDPOINT, Kind.CONFIG, Kind.MODEL, Kind.ARTIFACT, Kind.ROLE]


def assert_ordered(steps: tuple[Step, ...], state: Current) -> None:
    """Nothing before what it needs."""
    done = set(state.configs) | set(state.models)
    for step in steps:
        wanted_config = getattr(step.wanted, "config_name", None)
        if step.kind is Kind.ENDPOINT and step.verb in {Verb.CREATE, Verb.UPDATE}:
            assert wanted_config in done
        if step.kind is Kind.CONFIG and step.verb is Verb.CREATE:
            variants = getattr(step.wanted, "variants", [])
            assert {variant["ModelName"] for variant in variants} <= done
        if step.verb is Verb.CREATE:
            done.add(step.name)
    kinds = [step.kind for step in steps if step.verb in {Verb.CREATE, Verb.UPLOAD}]
    for first, second in (
        (Kind.BUCKET, Kind.ARTIFACT),
        (Kind.ARTIFACT, Kind.MODEL),
        (Kind.REPOSITORY, Kind.IMAGE),
        (Kind.IMAGE, Kind.MODEL),
    ):
        if first in kinds and second in kinds:
            assert kinds.index(first) < kinds.index(second)


def _ids(steps: tuple[Step, ...]) -> str:
    return "\n".join(step.id for step in steps)


def _done(wish: Desired, steps: tuple[Step, ...]) -> Desired:
    made = [(step.kind, step.name) for step in steps]
    return dataclasses.replace(
        wish,
        resources=tuple(found for found in wish.resources if (found.kind, found.name) in made),
    )
