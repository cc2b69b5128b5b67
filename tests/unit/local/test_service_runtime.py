from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portside.local.capacity.fleet import Fleet
from portside.local.capacity.starter import FleetSpec, Starter
from portside.local.capacity.traffic import Running, Traffic
from portside.local.instance.instance_client import (
    Answer,
    ConnectionLostError,
    InvocationTimeoutError,
)
from portside.local.protocol.fault import Fault
from portside.local.services.runtime import RuntimeService
from portside.local.state.deployment import Deployment, Endpoint, Variant
from portside.local.state.endpoint_state import EndpointStatus
from portside.local.state.store import Store
from tests.unit.local.state_fakes import (
    ACCOUNT,
    IMAGE,
    REGION,
    FakeClient,
    FakeClock,
    FakeLauncher,
    call,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from portside.local.capacity.capacity import Occupancy
    from portside.local.invocation.data_capture import Exchange
    from portside.local.metric.metric import Invocation
    from portside.local.protocol.call import Call, Value

SEE = (
    "See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
    "#logEventViewer:group=/aws/sagemaker/Endpoints/NER in account 000000000000"
    " for more information."
)
VARIANT = Variant(
    name="AllTraffic",
    model_name="ner",
    image=IMAGE,
    model_data_url=None,
    environment={},
    weight=1.0,
    instance_count=1,
    serverless=None,
    startup_timeout_s=None,
)
SERVERLESS = replace(VARIANT, serverless={"MemorySizeInMB": 2048, "MaxConcurrency": 1})


@dataclass
class World:
    """One endpoint, `NER`, with one healthy instance."""

    store: Store
    client: FakeClient
    running: Fleet | None
    clock: FakeClock = field(default_factory=FakeClock)
    measured: list[Invocation] = field(default_factory=list)
    captured: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = RuntimeService(
            self.store,
            switch=self,
            client=self.client,
            recorder=self,
            capture=self,
            clock=self.clock,
        )

    def record(self, seen: Invocation, variant: Variant, found: Occupancy) -> None:
        self.measured.append(seen)

    def samples(self, config: Mapping[str, Value] | None) -> bool:
        return True

    def hold(self, exchange: Exchange, config: Mapping[str, Value]) -> None:
        self.captured.append(exchange)

    def traffic(self, arn: str) -> Traffic | None:
        if self.running is None:
            return None
        deployment = Deployment(config_name="one", requested_time_ms=1, variants=(VARIANT,))
        running = Running(deployment=deployment, capacities={VARIANT.name: self.running})
        return Traffic(blue=running)

    def set(
        self,
        status: EndpointStatus,
        variant: Variant = VARIANT,
        *,
        data_capture: dict[str, Value] | None = None,
    ) -> None:
        deployment = Deployment(
            config_name="one",
            requested_time_ms=1,
            variants=(variant,),
            data_capture=data_capture,
        )
        endpoint = Endpoint(
            account=ACCOUNT,
            region=REGION,
            name="NER",
            status=status,
            creation_time_ms=1,
            last_modified_time_ms=1,
            deployment=None if status is EndpointStatus.CREATING else deployment,
        )
        self.store.remove(endpoint.arn)
        self.store.add(endpoint.resource())

    async def invoke(self, **params: Value) -> dict[str, Value]:
        return await self.service.invoke(self.call(**params))

    def call(self, **params: Value) -> Call:
        wanted = {"EndpointName": "NER", "Body": b"{}"} | params
        made = call("InvokeEndpoint", service="sagemaker-runtime", **wanted)
        return replace(made, received_s=self.clock.monotonic())

    async def refused(self, **params: Value) -> Fault:
        with pytest.raises(Fault) as caught:
            await self.invoke(**params)
        return caught.value


@asynccontextmanager
async def made_world(folder: Path) -> AsyncIterator[World]:
    launcher = FakeLauncher()
    spec = FleetSpec(endpoint_name="NER", region=REGION, variant=VARIANT, model_dir=Path("/m"))
    clock = FakeClock()
    fleet = Fleet(Starter(spec, launcher=launcher, pinger=launcher, clock=clock), clock=clock)
    await fleet.start(startup_timeout_s=480)
    store = Store.open(folder / "state.sqlite3")
    world = World(store, FakeClient(), fleet)
    world.set(EndpointStatus.IN_SERVICE)
    yield world
    await fleet.stop()
    store.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with made_world(tmp_path) as made:
        yield made


async def test_body_and_headers_go_both_ways(world: World) -> None:
    headers = {
        "Content-Type": "text/csv",
        "X-Amzn-SageMaker-Custom-Attributes": "a=2",
        "Server": "x",
    }
    world.client.answer = Answer(status=200, headers=headers, body=b"\x00\xff")

    output = await world.invoke(
        Body=b"\xff\x00",
        ContentType="application/json",
        Accept="text/csv",
        CustomAttributes="a=1",
        InferenceId="i-1",
        TargetVariant="AllTraffic",
    )

    assert output == {
        "Body": b"\x00\xff",
        "ContentType": "text/csv",
        "CustomAttributes": "a=2",
        "InvokedProductionVariant": "AllTraffic",
    }
    assert world.client.body == b"\xff\x00"
    assert world.client.headers == {
        "Content-Type": "application/json",
        "Accept": "text/csv",
        "X-Amzn-SageMaker-Custom-Attributes": "a=1",
        "X-Amzn-SageMaker-Inference-Id": "i-1",
        "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
    }


@pytest.mark.parametrize("value", ["café €", "\udce9", "a\nb"])
async def test_a_header_that_http_cannot_carry_is_left_out(
    world: World, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Custom-Attributes": value}
    world.client.answer = Answer(status=200, headers=headers, body=b"ok")

    output = await world.invoke()

    assert output["ContentType"] == "text/csv"
    assert "CustomAttributes" not in output
    assert "left out X-Amzn-SageMaker-Custom-Attributes" in caplog.text


async def test_what_the_caller_did_not_say_is_not_made_up(world: World) -> None:
    await world.invoke()

    assert world.client.headers == {}


@pytest.mark.parametrize("name", ["other", "ner"])
async def test_an_unknown_name_and_one_in_the_wrong_case(world: World, name: str) -> None:
    fault = await world.refused(EndpointName=name)

    assert (fault.code, fault.status) == ("ValidationError", 400)
    assert fault.message == f"Endpoint {name} of account 000000000000 not found."


@pytest.mark.parametrize("status", [s for s in EndpointStatus if not s.is_serving], ids=str)
async def test_an_endpoint_that_does_not_serve_is_not_found(
    world: World, status: EndpointStatus
) -> None:
    world.set(status)

    assert (await world.refused()).message == "Endpoint NER of account 000000000000 not found."


@pytest.mark.parametrize("status", [s for s in EndpointStatus if s.is_serving], ids=str)
async def test_an_endpoint_serves_while_it_is_updated(world: World, status: EndpointStatus) -> None:
    world.set(status)

    assert (await world.invoke())["Body"] == b"ok"


async def test_while_no_instance_is_up_the_service_is_unavailable(world: World) -> None:
    world.running = None

    fault = await world.refused()

    assert (fault.code, fault.status) == ("ServiceUnavailable", 503)


@pytest.mark.parametrize(
    ("status", "side", "error_code"),
    [
        (400, "client", "CLIENT_ERROR_FROM_MODEL"),
        (415, "client", "CLIENT_ERROR_FROM_MODEL"),
        (500, "server", "INTERNAL_FAILURE_FROM_MODEL"),
        (503, "server", "INTERNAL_FAILURE_FROM_MODEL"),
        (302, "server", "INTERNAL_FAILURE_FROM_MODEL"),
    ],
)
async def test_what_the_model_refuses(
    world: World, status: int, side: str, error_code: str
) -> None:
    world.client.answer = Answer(status=status, headers={}, body=b'{"error": "x"}')

    fault = await world.refused()

    assert (fault.code, fault.status) == ("ModelError", 424)
    assert fault.message == (
        f'Received {side} error ({status}) from primary with message "{{"error": "x"}}". {SEE}'
    )
    assert fault.fields == {
        "OriginalStatusCode": status,
        "OriginalMessage": '{"error": "x"}',
        "LogStreamArn": (
            "arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/Endpoints/NER"
        ),
        "ErrorCode": error_code,
    }


async def test_clients_can_take_the_message_apart(world: World) -> None:
    """The expression is the one in clients of OpenSearch and LangChain."""
    world.client.answer = Answer(status=400, headers={}, body=b"bad input")
    pattern = (
        r'Received client error \((.*?)\) from primary with message "(.*?)".'
        r" See .* in account .* for more information."
    )

    found = re.match(pattern, str((await world.refused()).message))

    assert found is not None
    assert found.groups() == ("400", "bad input")


async def test_a_long_message_is_cut_to_what_the_model_allows(world: World) -> None:
    world.client.answer = Answer(status=500, headers={}, body=b"x" * 10_000)

    fault = await world.refused()

    assert len(str(fault.message)) <= 2048
    assert str(fault.message).endswith(SEE)
    assert len(fault.fields["OriginalMessage"]) == 2048


async def test_an_answer_that_takes_too_long(world: World) -> None:
    world.client.answer = InvocationTimeoutError()

    fault = await world.refused()

    assert (fault.code, fault.status, fault.fields["OriginalStatusCode"]) == ("ModelError", 424, 0)
    assert fault.message == (
        'Received server error (0) from primary with message "Your invocation timed out while'
        " waiting for a response from container primary. Review the latency metrics for each"
        f' container in Amazon CloudWatch, resolve the issue, and try again.". {SEE}'
    )


async def test_an_instance_that_dies_over_it(world: World) -> None:
    world.client.answer = ConnectionLostError()

    fault = await world.refused()

    assert (fault.code, fault.status, fault.fields["OriginalStatusCode"]) == ("ModelError", 424, 0)
    assert str(fault.message).startswith(
        "Amazon SageMaker could not get a response from the NER endpoint."
        " This can occur when CPU or memory utilization is high."
    )


async def test_an_answer_over_the_limit(world: World) -> None:
    world.client.answer = Answer(status=200, headers={}, body=None)

    fault = await world.refused()

    assert fault.code == "ModelError"
    assert "and could not load the entire response body" in str(fault.message)


async def test_a_body_over_the_limit_of_real_time(world: World) -> None:
    fault = await world.refused(Body=bytes(25 * 1024 * 1024 + 1))

    assert (fault.code, fault.status) == ("413", 413)
    assert fault.message == "HTTP content length exceeded 26214400 bytes."


async def test_a_body_over_the_limit_of_serverless(world: World) -> None:
    assert world.running is not None
    await world.running.resize(SERVERLESS)

    fault = await world.refused(Body=bytes(4 * 1024 * 1024 + 1))

    assert (fault.code, fault.status) == ("ValidationError", 400)
    assert fault.message == "Request request-1 has oversize body."
    assert await world.invoke(Body=bytes(4 * 1024 * 1024))


async def test_targets_that_the_endpoint_has_not(world: World) -> None:
    variant = await world.refused(TargetVariant="Other")
    model = await world.refused(TargetModel="a.tar.gz")
    component = await world.refused(InferenceComponentName="a")
    explained = await world.refused(EnableExplanations="`true`")

    assert variant.code == model.code == component.code == "ValidationError"
    assert model.message == (
        "Endpoint NER is not a multi-model endpoint and does not support target model header."
    )
    assert model.fields == {"ErrorCode": "TARGET_MODEL_HEADER_NOT_SUPPORTED"}
    assert explained.status == 501


# --- Sessions ----------------------------------------------------------------

NEW = "abc-1; Expires=2033-05-18T03:33:20Z"


@pytest.mark.parametrize(
    "header", ["X-Amzn-SageMaker-New-Session-Id", "X-Amzn-SageMaker-Session-Id"]
)
async def test_a_session_is_opened_by_either_header(world: World, header: str) -> None:
    world.client.answer = Answer(status=200, headers={header: NEW}, body=b"ok")

    output = await world.invoke(SessionId="NEW_SESSION")

    assert output["NewSessionId"] == NEW
    assert world.client.headers["X-Amzn-SageMaker-Session-Id"] == "NEW_SESSION"
    await world.invoke(SessionId="abc-1")
    assert world.client.headers["X-Amzn-SageMaker-Session-Id"] == "abc-1"


async def test_a_session_stays_with_the_instance_that_made_it(world: World) -> None:
    assert world.running is not None
    await world.running.resize(replace(VARIANT, instance_count=3))
    world.client.answer = Answer(
        status=200, headers={"X-Amzn-SageMaker-New-Session-Id": NEW}, body=b"ok"
    )
    await world.invoke(SessionId="NEW_SESSION")
    for _ in range(4):
        await world.invoke(SessionId="abc-1")

    assert len(set(world.client.ports)) == 1
    await world.invoke()
    assert len(set(world.client.ports)) == 2


async def test_a_session_that_is_closed_expired_or_unknown(world: World) -> None:
    world.client.answer = Answer(
        status=200, headers={"X-Amzn-SageMaker-New-Session-Id": NEW}, body=b"ok"
    )
    await world.invoke(SessionId="NEW_SESSION")
    world.client.answer = Answer(
        status=200, headers={"X-Amzn-SageMaker-Closed-Session-Id": "abc-1"}, body=b"ok"
    )
    assert (await world.invoke(SessionId="abc-1"))["ClosedSessionId"] == "abc-1"

    closed = await world.refused(SessionId="abc-1")
    expired = "old; Expires=2001-01-01T00:00:00Z"
    world.client.answer = Answer(
        status=200, headers={"X-Amzn-SageMaker-New-Session-Id": expired}, body=b"ok"
    )
    await world.invoke(SessionId="NEW_SESSION")
    over = await world.refused(SessionId="old")

    assert (closed.code, over.code) == ("ValidationError", "ValidationError")
    assert str(closed.message).startswith("Session abc-1 of endpoint NER not found.")


async def test_a_session_ends_with_its_instance(world: World) -> None:
    assert world.running is not None
    world.client.answer = Answer(
        status=200, headers={"X-Amzn-SageMaker-New-Session-Id": NEW}, body=b"ok"
    )
    await world.invoke(SessionId="NEW_SESSION")
    await world.running.stop()

    fault = await world.refused(SessionId="abc-1")

    assert (fault.code, fault.status) == ("ValidationError", 400)


async def test_serverless_has_no_sessions(world: World) -> None:
    assert world.running is not None
    await world.running.resize(SERVERLESS)

    fault = await world.refused(SessionId="NEW_SESSION")

    assert fault.message == "Endpoint NER is serverless and does not support sessions."


# --- What is kept ------------------------------------------------------------


async def test_what_the_instance_took_and_what_the_rest_did(world: World) -> None:
    call = world.call()
    world.clock.seconds += 0.25
    world.client.takes_s = 2.0
    world.client.clock = world.clock

    await world.service.invoke(call)

    [seen] = world.measured
    assert seen.model_s == pytest.approx(2.0)
    assert seen.overhead_s == pytest.approx(0.25)
    assert (seen.endpoint, seen.variant, seen.model_status) == ("NER", "AllTraffic", 200)
    assert (seen.fault, seen.concurrent) == (None, 1)


async def test_what_failed_is_measured_too(world: World) -> None:
    for answer in (Answer(status=400, headers={}, body=b""), InvocationTimeoutError()):
        world.client.answer = answer
        await world.refused()
    await world.running.stop()
    await world.refused()

    assert [(seen.fault, seen.model_status) for seen in world.measured] == [
        (424, 400),
        (424, 0),
        (503, None),
    ]


async def test_what_was_answered_is_captured_where_that_is_wanted(world: World) -> None:
    world.client.answer = Answer(status=200, headers={"Content-Type": "a/b"}, body=b"out")
    await world.invoke(Body=b"in", ContentType="text/csv", InferenceId="i-1")
    assert world.captured == []

    world.set(EndpointStatus.IN_SERVICE, data_capture={"InitialSamplingPercentage": 100})
    await world.invoke(Body=b"in", ContentType="text/csv", InferenceId="i-1")

    [exchange] = world.captured
    assert (exchange.endpoint, exchange.variant, exchange.inference_id) == (
        "NER",
        "AllTraffic",
        "i-1",
    )
    assert (exchange.asked.content_type, exchange.asked.body) == ("text/csv", b"in")
    assert (exchange.answered.content_type, exchange.answered.body) == ("a/b", b"out")


async def test_an_endpoint_is_read_again_when_the_store_has_changed(world: World) -> None:
    await world.invoke()

    world.set(EndpointStatus.FAILED)

    assert (await world.refused()).code == "ValidationError"
