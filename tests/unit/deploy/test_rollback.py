"""Which config a rollback goes to, by which steps, and what it says where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from portside.aws.session import Session
from portside.deploy.current.current import TargetNow
from portside.deploy.desired.resources import Endpoint
from portside.deploy.desired.scaling import INSTANCE_COUNT
from portside.deploy.plan.step import Verb
from portside.deploy.rollback import Past, Version, choose, look_back, rollback_steps, unfinished
from portside.deploy.run.journal import Entry
from portside.errors import DeployError


def version(
    name: str,
    made: float,
    *,
    live: bool = False,
    image: str = "i",
    instance: str = "ml.m5.large",
    verified: bool = False,
) -> Version:
    return Version(
        config=name,
        created_at=made,
        model_data=("s3://b/ner/artifacts/d/model.tar.gz",),
        image=(image,),
        instance_types={"AllTraffic": instance},
        is_live=live,
        is_verified=verified,
    )


def past(*versions: Version, status: str = "InService", is_scaled: bool = False) -> Past:
    newest_first = tuple(sorted(versions, key=lambda one: -one.created_at))
    targets = (TARGET,) if is_scaled else ()
    return Past(endpoint="ner", status=status, versions=newest_first, targets=targets)


TARGET = TargetNow(
    endpoint="ner",
    resource_id="endpoint/ner/variant/AllTraffic",
    dimension=INSTANCE_COUNT,
    least=1,
    most=4,
)


LIST = "--list --endpoint ner` shows"

V1, V2, V3 = version("ner-1", 1), version("ner-2", 2), version("ner-3", 3, live=True)


@pytest.mark.parametrize(("back", "config"), [(1, "ner-2"), (2, "ner-1")])
def test_back_is_counted_from_what_runs(back: int, config: str) -> None:
    assert choose(past(V1, V2, V3), back=back).config == config


def test_after_a_rollback_the_next_goes_further_back() -> None:
    rolled_back = past(V1, version("ner-2", 2, live=True), version("ner-3", 3))

    assert choose(rolled_back).config == "ner-1"


def test_an_early_state_that_was_deployed_again_goes_back_to_the_newest_other() -> None:
    assert choose(past(version("ner-1", 1, live=True), V2, version("ner-3", 3))).config == "ner-3"


def test_an_update_that_failed_is_nothing_to_go_back_to() -> None:
    runs, failed = version("ner-1", 1, live=True, verified=True), version("ner-2", 2)

    with pytest.raises(DeployError, match="there is no earlier config"):
        choose(past(runs, failed))
    assert choose(past(runs, failed), to="ner-2") == failed


def test_a_config_can_be_named() -> None:
    assert choose(past(V1, V2, V3), to="ner-1") == V1


@pytest.mark.parametrize(
    ("found", "how", "words", "hint"),
    [
        (past(V3), {}, "there is no earlier config", "git checkout"),
        (past(V2, V3), {"back": 2}, "there is one earlier config", LIST),
        (
            past(V1, V2, V3),
            {"back": 3},
            "there are 2 earlier configs",
            "--list --endpoint ner` shows",
        ),
        (
            past(V1, V3),
            {"to": "her-1"},
            "there is no config `her-1` of its own",
            "--list --endpoint ner`",
        ),
        (past(version("ner-2", 2, image="gone"), V3), {}, "a Model .* was deleted", "--list"),
    ],
)
def test_where_there_is_none_it_says_so(
    found: Past, how: dict[str, Any], words: str, hint: str
) -> None:
    with pytest.raises(DeployError, match=words) as caught:
        choose(found, **how)

    assert hint in (caught.value.hint or "")


def entry(command: str, result: str, *steps: str) -> Entry:
    return Entry(run="r", time="t", command=command, who="w", plan="p", steps=steps, result=result)


@pytest.mark.parametrize(
    ("last", "config"),
    [
        (entry("portside rollback", "interrupted", "update Endpoint ner to ner-1"), "ner-1"),
        (entry("portside rollback", "cannot reach AWS", "update Endpoint ner to ner-1"), "ner-1"),
        (entry("portside rollback", "done", "update Endpoint ner to ner-1"), None),
        (entry("portside deploy", "interrupted", "update Endpoint ner to ner-1"), None),
        (entry("portside rollback", "interrupted", "update Endpoint her to ner-1"), None),
        (entry("portside rollback", "interrupted", "update Endpoint ner to ner-0"), None),
        (entry("portside rollback", "interrupted"), None),
    ],
)
def test_a_rollback_that_was_cut_goes_on_to_where_it_was_going(
    last: Entry, config: str | None
) -> None:
    before = entry("portside rollback", "interrupted", "update Endpoint ner to ner-2")

    assert unfinished([last, before], past(V1, V2, V3)) == config


def test_without_a_journal_nothing_was_cut() -> None:
    assert unfinished([], past(V1, V2, V3)) is None


def test_the_steps_update_and_wait() -> None:
    update, wait = rollback_steps(past(V1, V2, V3), V2)

    assert (update.verb, wait.verb) == (Verb.UPDATE, Verb.WAIT)
    assert update.id == "update Endpoint ner to ner-2"
    assert update.reason == "runs `ner-3`"


def test_what_runs_already_needs_no_step() -> None:
    assert rollback_steps(past(V1, V3), V3) == ()


def test_an_update_that_goes_on_is_waited_for_first() -> None:
    steps = rollback_steps(past(V2, V3, status="Updating"), V2)

    assert [one.verb for one in steps] == [Verb.WAIT, Verb.UPDATE, Verb.WAIT]
    assert steps[0].wanted is None, "on whatever config"


@pytest.mark.parametrize("status", ["OutOfService", "UpdateRollbackFailed"])
def test_what_is_stuck_is_mended_by_the_update(status: str) -> None:
    steps = rollback_steps(past(V2, V3, status=status), V2)

    assert [one.verb for one in steps] == [Verb.UPDATE, Verb.WAIT]


def test_a_failed_endpoint_has_no_way_back() -> None:
    with pytest.raises(DeployError, match="it is Failed") as caught:
        rollback_steps(past(V2, V3, status="Failed"), V2)

    assert "portside deploy" in (caught.value.hint or "")


@pytest.mark.parametrize("is_scaled", [True, False])
def test_capacity_that_auto_scaling_set_is_kept(is_scaled: bool) -> None:
    update, _ = rollback_steps(past(V2, V3, is_scaled=is_scaled), V2)

    assert isinstance(update.wanted, Endpoint)
    assert update.wanted.retain_capacity is is_scaled


def test_auto_scaling_in_the_way_of_the_update_is_released_before_it() -> None:
    other = version("ner-2", 2, instance="ml.c5.large")

    release, update, _ = rollback_steps(past(other, V3, is_scaled=True), other)

    assert (release.id, release.existing) == (
        "delete scalable target endpoint/ner/variant/AllTraffic",
        TARGET,
    )
    assert isinstance(update.wanted, Endpoint)
    assert not update.wanted.retain_capacity


class FakeSageMaker:
    """One endpoint, configs with an owner each, and Models that may be gone."""

    def __init__(self, *, owner: str = "ner", models: tuple[str, ...] = ("m1",)) -> None:
        self._owner = owner
        self._models = models
        self._operation = ""

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        return {
            "EndpointName": "ner",
            "EndpointArn": "arn:ner",
            "EndpointStatus": "InService",
            "EndpointConfigName": "ner-bbbbbbbbbb",
        }

    def describe_endpoint_config(self, **asked: str) -> dict[str, Any]:
        model = {"ner-aaaaaaaaaa": "m1", "ner-bbbbbbbbbb": "m2"}[asked["EndpointConfigName"]]
        return {"ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": model}]}

    def describe_model(self, **asked: str) -> dict[str, Any]:
        if asked["ModelName"] not in self._models:
            details = {"Code": "ValidationException", "Message": "Could not find model"}
            raise ClientError({"Error": details}, "DescribeModel")
        return {"PrimaryContainer": {"Image": "i", "ModelDataUrl": "s3://b/k"}}

    def get_paginator(self, operation: str) -> FakeSageMaker:
        self._operation = operation
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        if self._operation == "list_tags":
            foreign = asked["ResourceArn"] == "arn:ner-cccccccccc"
            owner = "another" if foreign else self._owner
            return iter([{"Tags": [{"Key": "portside:project", "Value": owner}]}])
        names = ("ner-aaaaaaaaaa", "ner-bbbbbbbbbb", "ner-cccccccccc", "ner-two-dddddddddd")
        return iter([{"EndpointConfigs": [_listed(name, at) for at, name in enumerate(names)]}])


class _Moment:
    def __init__(self, at: float) -> None:
        self._at = at

    def timestamp(self) -> float:
        return self._at


def _listed(name: str, at: float) -> dict[str, Any]:
    return {
        "EndpointConfigName": name,
        "EndpointConfigArn": f"arn:{name}",
        "CreationTime": _Moment(at),
    }


class FakeScaling:
    """Nothing is scaled."""

    def get_paginator(self, _: str) -> FakeScaling:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"ScalableTargets": []}]


class FakeSession:
    """A session with SageMaker and Application Auto Scaling."""

    def __init__(self, sagemaker: FakeSageMaker) -> None:
        self.sagemaker = sagemaker
        self.autoscaling = FakeScaling()


def test_only_configs_of_the_endpoint_and_the_project_count() -> None:
    found = look_back(cast("Session", FakeSession(FakeSageMaker())), "ner", "ner")

    assert [one.config for one in found.versions] == ["ner-bbbbbbbbbb", "ner-aaaaaaaaaa"]
    assert [one.is_live for one in found.versions] == [True, False]
    assert [one.is_whole for one in found.versions] == [False, True]


def test_the_endpoint_of_another_project_is_left_alone() -> None:
    session = cast("Session", FakeSession(FakeSageMaker(owner="another")))

    with pytest.raises(DeployError, match="it is not of the project `ner`"):
        look_back(session, "ner", "ner")
