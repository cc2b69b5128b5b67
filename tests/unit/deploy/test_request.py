"""Every request that a deployment can send is one that AWS's own model of its services allows.

The clients are boto3's, which check names and types; what they leave to the server (patterns,
ranges, enumerations) is checked as the local AWS does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from botocore.awsrequest import AWSResponse
from botocore.model import OperationModel

from portside.aws.session import Address, Session
from portside.config import (
    Async,
    AsyncScalingSection,
    CaptureSection,
    Endpoint,
    EndpointKind,
    ProvisionedScalingSection,
    Realtime,
    RolloutSection,
    ScalingSection,
    Serverless,
    VariantSection,
    VpcSection,
)
from portside.deploy.apply.apply import Applier
from portside.deploy.current.current import BucketNow, Current, Owned, TargetNow
from portside.deploy.desired.resources import ImageData, Kind
from portside.deploy.plan.plan import plan, plan_removal
from portside.deploy.plan.step import Step, Verb
from portside.local.protocol.service import Operation, Service, Wire
from portside.local.protocol.validate import validate
from tests.unit.deploy.deploy_parts import DATA, IMAGE, reached, wanted

KEY = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:done"
VPC = VpcSection(subnets=("subnet-1", "subnet-2"), security_groups=("sg-1",))
KINDS: dict[str, EndpointKind] = {
    "serverless": Serverless(environment={"A": "1"}, tags={"team": "search"}, ttl="8h"),
    "provisioned": Serverless(
        provisioned_concurrency=1, scaling=ProvisionedScalingSection(max_concurrency=3)
    ),
    "realtime": Realtime(
        variants=(
            VariantSection(name="a", weight=0.9),
            VariantSection(name="b", weight=0.1, instance_type="ml.g5.xlarge"),
        ),
        scaling=ScalingSection(max_instances=4, target=100, metric="concurrent_requests_per_model"),
        capture=CaptureSection(sampling_percentage=20),
        rollout=RolloutSection(kind="linear", step_percent=25, alarms=("too-slow",)),
        vpc=VPC,
        kms_key=KEY,
    ),
    "canary": Realtime(rollout=RolloutSection(kind="canary", step_percent=5)),
    "all at once": Realtime(rollout=RolloutSection()),
    "async": Async(
        success_topic=TOPIC,
        error_topic=TOPIC,
        max_concurrent_invocations=4,
        kms_key=KEY,
        vpc=VPC,
        scaling=AsyncScalingSection(max_instances=2),
    ),
    "with a role": Serverless(role="arn:aws:iam::123456789012:role/mine"),
}
ANSWERS = {
    "DescribeEndpoint": '{"EndpointName": "ner", "EndpointArn": "arn:aws:sagemaker:eu-west-1:'
    '123456789012:endpoint/ner", "EndpointStatus": "InService", "EndpointConfigName": "CONFIG"}',
    "PutScalingPolicy": '{"PolicyARN": "arn:aws:autoscaling:eu-west-1:123456789012:policy:1"}',
}


class Network:
    """Stands in the network's place: keeps each request's parameters, answers next to nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[OperationModel, dict[str, Any]]] = []
        self.config_name = ""

    def attach(self, client: Any) -> None:
        client.meta.events.register("provide-client-params.*.*", self._keep)
        client.meta.events.register("before-send.*.*", self._answer)

    def _keep(self, params: dict[str, Any], model: OperationModel, **_: object) -> None:
        self.calls.append((model, params))

    def _answer(self, request: Any, event_name: str, **_: object) -> AWSResponse:
        service, operation = event_name.split(".")[1:3]
        body = ANSWERS.get(operation, "{}").replace("CONFIG", self.config_name)
        if service in {"iam", "s3"}:
            body = f"<Response><{operation}Result/></Response>" if service == "iam" else ""
        answer = AWSResponse(request.url, 200, {}, cast("Any", None))
        answer._content = body.encode()
        return answer


@pytest.fixture(scope="module")
def session() -> Session:
    address = Address(region="eu-west-1", access_key_id="AK", secret_access_key="SK")
    session = Session(address)
    vars(session)["account"] = "123456789012"  # as if it had been asked for
    return session


@pytest.fixture(scope="module")
def attached(session: Session) -> Network:
    network = Network()
    clients = (session.s3, session.iam, session.sagemaker, session.autoscaling)
    for client in (*clients, session.cloudwatch, session.ecr):
        network.attach(client)
    return network


@pytest.fixture
def network(attached: Network) -> Network:
    attached.calls.clear()
    return attached


class Silent:
    def status(self, text: str) -> None: ...

    def sent(self, count_bytes: int) -> None: ...

    def note(self, text: str) -> None: ...


@contextmanager
def silent(_: Step) -> Iterator[Silent]:
    yield Silent()


def carry_out(session: Session, steps: tuple[Step, ...]) -> None:
    Applier(session, silent, verify=lambda *_: None, sleep=lambda _: None).apply(steps)


def assert_valid(network: Network) -> set[str]:
    """The operations that were called, each as its service's model has it."""
    assert network.calls
    for model, params in network.calls:
        service = Service(name=model.service_model.service_name, wire=Wire.JSON)
        validate(Operation(service=service, model=model, labels={}), params)
    return {model.name for model, _ in network.calls}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image", [None, IMAGE])
def test_what_makes_an_endpoint_is_allowed(
    session: Session, network: Network, kind: str, image: ImageData | None
) -> None:
    wish = wanted(Endpoint(name="ner", settings=KINDS[kind]), image=image)

    carry_out(session, sent(plan(wish, Current())))

    made = assert_valid(network)
    assert {"CreateModel", "CreateEndpointConfig", "CreateEndpoint"} <= made
    assert ("PutScalingPolicy" in made) == (kind in {"provisioned", "realtime", "async"})
    assert ("PutMetricAlarm" in made) == (kind == "async")


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_an_endpoint_is_allowed(session: Session, network: Network, kind: str) -> None:
    settings = KINDS[kind]
    before = wanted(Endpoint(name="ner", settings=settings))
    after = wanted(
        Endpoint(name="ner", settings=msgspec.structs.replace(settings, ttl="7d", tags={"a": "b"})),
        data=replace(DATA, digest="cd" * 32),
    )
    state = reached(before, after)
    drifted = replace(
        state,
        bucket=BucketNow(is_private=False),
        roles={name: replace(role, policy=None) for name, role in state.roles.items()},
    )

    carry_out(session, sent(plan(after, drifted)))

    made = assert_valid(network)
    assert {"PutPublicAccessBlock", "UpdateEndpoint", "AddTags"} <= made
    (update,) = (params for model, params in network.calls if model.name == "UpdateEndpoint")
    assert ("RetainAllVariantProperties" in update) == (kind in {"realtime", "async"})


def test_what_removes_an_endpoint_is_allowed(session: Session, network: Network) -> None:
    target = TargetNow(
        endpoint="ner",
        resource_id="endpoint/ner/variant/AllTraffic",
        dimension="sagemaker:variant:DesiredInstanceCount",
        least=0,
        most=1,
    )
    owned = [
        Owned(kind=kind, name="portside-ner", target=target)
        for kind in Kind
        if kind not in {Kind.BUCKET, Kind.ENDPOINT, Kind.ARTIFACT, Kind.IMAGE, Kind.SCALING_POLICY}
    ]

    carry_out(session, plan_removal(tuple(owned)))

    assert assert_valid(network) == {
        "DeleteAlarms",
        "DeregisterScalableTarget",
        "DeleteEndpointConfig",
        "DeleteModel",
        "DeleteRepository",
        "DeleteRolePolicy",
        "DeleteRole",
    }


def sent(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Without what sends files, and what waits for an answer that this network does not give."""
    left_out = {Verb.UPLOAD, Verb.WAIT, Verb.CHECK}
    return tuple(step for step in steps if step.verb not in left_out)
