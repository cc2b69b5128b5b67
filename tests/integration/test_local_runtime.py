"""Invocations by boto3, through the gateway to instances that run: headers, sessions, streams,
metrics and what is captured of them.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import tarfile
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from tests.integration.local_edge import Local, end, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/portside-runtime:1"
APP = """
import asyncio, json, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    asked, more = b"", True
    while more:
        message = await receive()
        asked, more = asked + message.get("body", b""), message.get("more_body", False)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    answer, extra = b"", []
    match asked:
        case b"headers":
            answer = json.dumps(headers).encode()
            extra = [(b"x-amzn-sagemaker-custom-attributes", b"a=2"), (b"x-other", b"1")]
        case b"pid":
            answer = str(os.getpid()).encode()
        case b"new":
            extra = [(b"x-amzn-sagemaker-session-id", b"s-%d; Expires=2099-01-01T00:00:00Z"
                      % os.getpid())]
        case b"close":
            extra = [(b"x-amzn-sagemaker-closed-session-id",
                      headers["x-amzn-sagemaker-session-id"].encode())]
        case b"slow":
            await asyncio.sleep(5)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain"), *extra]})

    async def part(content, more=True):
        await send({"type": "http.response.body", "body": content, "more_body": more})

    if asked in {b"stream", b"break", b"hang"}:
        await part(b"first")
    if asked == b"stream":
        await asyncio.sleep(0.5)
        await part(b"second")
    if asked == b"break":
        await asyncio.sleep(0.1)
        os._exit(1)
    if asked == b"hang":
        while (await receive())["type"] != "http.disconnect":
            pass
        print("nobody waits any more", flush=True)
        return
    await part(answer, more=False)
"""
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://models/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """A local SageMaker with one endpoint, `app`, of two instances."""
    local = start(tmp_path_factory.mktemp("local"), "--iam", "off", "--invocation-timeout-s", "1.5")
    try:
        deploy(local)
        yield local
    finally:
        end(local)


@pytest.fixture(scope="module")
def runtime(local: Local) -> Any:
    return local.client("sagemaker-runtime")


def deploy(local: Local) -> None:
    s3, sagemaker = local.client("s3"), local.client("sagemaker")
    s3.create_bucket(Bucket="models")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/app.py")
        member.size = len(APP)
        tar.addfile(member, io.BytesIO(APP.encode()))
    s3.put_object(Bucket="models", Key="app.tar.gz", Body=out.getvalue())
    container = {
        "Image": IMAGE,
        "ModelDataUrl": "s3://models/app.tar.gz",
        "Environment": {"PORTSIDE_APP": "app:app"},
    }
    sagemaker.create_model(ModelName="app", PrimaryContainer=container)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "app",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName="app", ProductionVariants=[variant], DataCaptureConfig=CAPTURE
    )
    sagemaker.create_endpoint(EndpointName="app", EndpointConfigName="app")
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName="app", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
    )


def eventually(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + 15
    while not (seen := found()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return seen


def test_headers_go_both_ways_and_no_others(runtime: Any) -> None:
    answer = runtime.invoke_endpoint(
        EndpointName="app",
        Body=b"headers",
        ContentType="text/csv",
        CustomAttributes="a=1",
        InferenceId="i-1",
        TargetVariant="AllTraffic",
    )

    seen = json.loads(answer["Body"].read())
    assert {name for name in seen if name not in {"host", "content-length", "user-agent"}} == {
        "content-type",
        "x-amzn-sagemaker-custom-attributes",
        "x-amzn-sagemaker-inference-id",
        "x-amzn-sagemaker-target-variant",
    }
    assert answer["CustomAttributes"] == "a=2"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert "x-other" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_a_session_stays_with_its_instance_until_it_is_closed(runtime: Any) -> None:
    def invoke(body: bytes, session_id: str) -> Any:
        return runtime.invoke_endpoint(EndpointName="app", Body=body, SessionId=session_id)

    session_id, _, expires = invoke(b"new", "NEW_SESSION")["NewSessionId"].partition(";")
    pids = {invoke(b"pid", session_id)["Body"].read().decode() for _ in range(6)}

    assert expires == " Expires=2099-01-01T00:00:00Z"
    assert pids == {session_id.removeprefix("s-")}
    assert invoke(b"close", session_id)["ClosedSessionId"] == session_id
    with pytest.raises(ClientError, match=r"\(ValidationError\).*Session .* not found"):
        invoke(b"pid", session_id)


def test_an_answer_that_takes_longer_than_it_may(runtime: Any) -> None:
    with pytest.raises(ClientError, match="Your invocation timed out") as caught:
        runtime.invoke_endpoint(EndpointName="app", Body=b"slow")

    assert caught.value.response["OriginalStatusCode"] == 0


def test_a_stream_comes_as_it_is_made(runtime: Any) -> None:
    began = time.monotonic()
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName="app", Body=b"stream", Accept="text/plain"
    )
    with closing(answer["Body"]) as events:
        parts = [(event["PayloadPart"]["Bytes"], time.monotonic() - began) for event in events]

    assert answer["ContentType"] == "text/plain"
    assert [content for content, _ in parts] == [b"first", b"second"]
    assert parts[1][1] - parts[0][1] > 0.3


def test_who_hangs_up_ends_the_call_to_the_instance(runtime: Any, local: Local) -> None:
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName="app", Body=b"hang")
    with closing(answer["Body"]) as events:
        assert next(iter(events)) == {"PayloadPart": {"Bytes": b"first"}}

    logs = local.client("logs")
    eventually(
        lambda: logs.filter_log_events(
            logGroupName="/aws/sagemaker/Endpoints/app", filterPattern='"nobody waits any more"'
        )["events"]
    )


def test_an_instance_that_dies_in_the_middle(runtime: Any) -> None:
    answer = runtime.invoke_endpoint_with_response_stream(EndpointName="app", Body=b"break")

    with closing(answer["Body"]) as body:
        events = iter(body)
        assert next(events) == {"PayloadPart": {"Bytes": b"first"}}
        with pytest.raises(EventStreamError) as caught:
            next(events)

    assert caught.value.response["Error"]["Code"] == "ModelStreamError"


def test_cloudwatch_knows_it_at_once(runtime: Any, local: Local) -> None:
    cloudwatch = local.client("cloudwatch")

    def measured(name: str, statistic: str) -> float:
        now = dt.datetime.now(tz=dt.UTC)
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=name,
            Dimensions=[
                {"Name": "EndpointName", "Value": "app"},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            StartTime=now - dt.timedelta(minutes=30),
            EndTime=now + dt.timedelta(minutes=1),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return sum(point[statistic] for point in points)

    before = measured("Invocations", "Sum")
    runtime.invoke_endpoint(EndpointName="app", Body=b"pid")

    assert measured("Invocations", "Sum") == before + 1
    assert measured("ModelLatency", "Maximum") > 0
    assert measured("OverheadLatency", "Maximum") > 0


def test_exchanges_are_captured(runtime: Any, local: Local) -> None:
    runtime.invoke_endpoint(
        EndpointName="app", Body=b"pid", ContentType="text/csv", InferenceId="kept"
    )
    s3 = local.client("s3")

    def records() -> list[Any]:
        listed = s3.list_objects_v2(Bucket="models", Prefix="captured/app/AllTraffic/")
        return [
            json.loads(line)
            for entry in listed.get("Contents", [])
            for line in s3.get_object(Bucket="models", Key=entry["Key"])["Body"].iter_lines()
            if b'"kept"' in line
        ]

    [record] = eventually(records)
    assert record["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv",
        "mode": "INPUT",
        "data": "pid",
        "encoding": "CSV",
    }
    assert record["captureData"]["endpointOutput"]["encoding"] == "BASE64"
