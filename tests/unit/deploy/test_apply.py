"""Doing the steps: which call each makes, what is tried again, what a failure says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from portside.aws.session import Session
from portside.deploy.apply import ROLE_PATIENCE_S, Applier
from portside.deploy.plan import Step, Verb
from portside.deploy.resources import Endpoint, Model, Resource
from portside.errors import DeployError

MODEL = Model(name="ner-1", image="i", model_data="s3://b/k", environment={}, role_arn="r", tags={})
ENDPOINT = Endpoint(name="ner", config_name="wanted", tags={})


class FakeSageMaker:
    """Keeps the calls; refuses `create_model` as often as it is told to."""

    def __init__(self, *, config_name: str = "old", refusals: list[str] | None = None) -> None:
        self.calls: list[str] = []
        self._config_name = config_name
        self._refusals = refusals or []

    def create_model(self, **_: object) -> None:
        self.calls.append("create_model")
        if self._refusals:
            message = self._refusals.pop(0)
            details = {"Code": "ValidationException", "Message": message}
            raise ClientError({"Error": details}, "CreateModel")

    def describe_endpoint(self, **_: object) -> dict[str, Any]:
        return {
            "EndpointName": "ner",
            "EndpointArn": "arn",
            "EndpointStatus": "InService",
            "EndpointConfigName": self._config_name,
        }

    def update_endpoint(self, **_: object) -> None:
        self.calls.append("update_endpoint")


class FakeSession:
    """A session with SageMaker alone."""

    def __init__(self, sagemaker: FakeSageMaker) -> None:
        self.sagemaker = sagemaker


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, pause_s: float) -> None:
        self.now_s += pause_s

    def __call__(self) -> float:
        return self.now_s


class Silent:
    def status(self, text: str) -> None: ...

    def sent(self, count_bytes: int) -> None: ...


@contextmanager
def silent(_: Step) -> Iterator[Silent]:
    yield Silent()


def apply(sagemaker: FakeSageMaker, verb: Verb, wanted: Resource) -> Clock:
    clock = Clock()
    session = cast("Session", FakeSession(sagemaker))
    step = Step(verb=verb, kind=wanted.kind, name=wanted.name, reason="", wanted=wanted)
    Applier(session, silent, sleep=clock.sleep, clock=clock).apply((step,))
    return clock


def test_a_young_role_is_waited_for() -> None:
    sagemaker = FakeSageMaker(refusals=["Could not assume role r"] * 3)

    clock = apply(sagemaker, Verb.CREATE, MODEL)

    assert sagemaker.calls == ["create_model"] * 4
    assert 0 < clock.now_s < ROLE_PATIENCE_S


def test_a_role_that_never_comes_is_given_up() -> None:
    sagemaker = FakeSageMaker(refusals=["Could not assume role r"] * 1000)

    with pytest.raises(DeployError, match="cannot create the Model `ner-1`"):
        apply(sagemaker, Verb.CREATE, MODEL)


def test_another_refusal_is_final_and_says_what_was_tried() -> None:
    sagemaker = FakeSageMaker(refusals=["no such image"])

    with pytest.raises(DeployError, match=r"cannot create the Model `ner-1`: .*no such image"):
        apply(sagemaker, Verb.CREATE, MODEL)

    assert sagemaker.calls == ["create_model"]


@pytest.mark.parametrize(("runs", "calls"), [("old", ["update_endpoint"]), ("wanted", [])])
def test_an_endpoint_is_not_updated_to_what_it_runs(runs: str, calls: list[str]) -> None:
    sagemaker = FakeSageMaker(config_name=runs)

    apply(sagemaker, Verb.UPDATE, ENDPOINT)

    assert sagemaker.calls == calls
