"""Doing the steps: which call each makes, what is tried again, what a failure says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from portside.aws.session import Session
from portside.deploy.apply.apply import ROLE_PATIENCE_S, Applier
from portside.deploy.desired.resources import Endpoint, GivenRole, Model, Resource
from portside.deploy.plan.step import Step, Verb
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

    def note(self, text: str) -> None: ...


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


# --- A role of the user's ---------------------------------------------------------

TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": ["sagemaker.amazonaws.com"]}}]}
POLICY = {
    "Statement": [
        {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::b/*"},
        {"Action": "logs:PutLogEvents", "Resource": "*"},
    ]
}
GIVEN = GivenRole(
    endpoint="ner",
    name="mine",
    arn="arn:aws:iam::123456789012:role/mine",
    trust={},
    policy=POLICY,
)


class FakeIam:
    """A role that trusts, and allows all but some actions; None is a caller that may not ask."""

    def __init__(self, trust: dict[str, Any] | None, denied: set[str] | None) -> None:
        self._trust, self._denied = trust, denied

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803  boto3's spelling
        if self._trust is None:
            raise ClientError({"Error": {"Code": "NoSuchEntity"}}, "GetRole")
        return {"Role": {"RoleName": RoleName, "AssumeRolePolicyDocument": self._trust}}

    def get_role_policy(self, **_: str) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "NoSuchEntity"}}, "GetRolePolicy")

    def simulate_principal_policy(self, *, ActionNames: list[str], **_: object) -> dict[str, Any]:  # noqa: N803  boto3's spelling
        if self._denied is None:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "SimulatePrincipalPolicy")
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalDecision": "implicitDeny" if action in self._denied else "allowed",
                }
                for action in ActionNames
            ]
        }


class Noting(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def check(iam: FakeIam) -> list[str]:
    noting = Noting()

    @contextmanager
    def reporter(_: Step) -> Iterator[Noting]:
        yield noting

    session = cast("Session", type("WithIam", (), {"iam": iam})())
    step = Step(verb=Verb.CHECK, kind=GIVEN.kind, name="mine", reason="", wanted=GIVEN)
    Applier(session, reporter).apply((step,))
    return noting.notes


def test_a_role_that_allows_all_is_silently_taken() -> None:
    assert check(FakeIam(TRUST, set())) == []


@pytest.mark.parametrize(
    ("iam", "message", "hint"),
    [
        (FakeIam(None, set()), "there is none", "set `role`"),
        (FakeIam({"Statement": []}, set()), "may not assume it", "set its trust policy to:"),
        (FakeIam(TRUST, {"s3:PutObject"}), "does not allow all", '"s3:PutObject"\n'),
    ],
)
def test_what_a_role_lacks_is_told_as_json(iam: FakeIam, message: str, hint: str) -> None:
    with pytest.raises(DeployError, match=message) as caught:
        check(iam)

    assert hint in (caught.value.hint or "")
    assert "s3:GetObject" not in (caught.value.hint or "")


def test_a_role_that_nobody_may_simulate_is_taken_with_a_word() -> None:
    (note,) = check(FakeIam(TRUST, None))

    assert "was not checked" in note
    assert '"s3:PutObject"' in note
