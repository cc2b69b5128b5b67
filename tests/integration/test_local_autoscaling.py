"""Application Auto Scaling and alarms act on real endpoints, by boto3, sixty times faster."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.local_edge import Local, end, start

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/portside-runtime:1"
RESOURCE = "endpoint/{}/variant/AllTraffic"
ECHO = """
def predict(data, model):
    if data == "bad":
        raise ValueError("bad")
    return data
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    local = start(tmp_path_factory.mktemp("local"), "--pace", "60", "--iam", "off")
    s3 = local.client("s3")
    for _ in range(100):
        try:
            s3.create_bucket(Bucket="mine")
            break
        except s3.exceptions.ClientError:  # the object store takes a second to start
            time.sleep(0.1)
    s3.put_object(Bucket="mine", Key="echo.tar.gz", Body=archive(ECHO))
    sagemaker = local.client("sagemaker")
    container = {"Image": IMAGE, "ModelDataUrl": "s3://mine/echo.tar.gz"}
    sagemaker.create_model(ModelName="echo", PrimaryContainer=container)
    yield local
    end(local)


def archive(code: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(code.encode())
        tar.addfile(member, io.BytesIO(code.encode()))
    return out.getvalue()


def deploy(local: Local, name: str, **capacity: Any) -> None:
    sagemaker = local.client("sagemaker")
    variant = {"VariantName": "AllTraffic", "ModelName": "echo", **capacity}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    wait(sagemaker, name)


def wait(sagemaker: Any, name: str) -> None:
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def follow(local: Local, name: str, dimension: str, metric: str, *, target: float) -> None:
    scaling = local.client("application-autoscaling")
    place = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": RESOURCE.format(name),
        "ScalableDimension": dimension,
    }
    scaling.register_scalable_target(MinCapacity=1, MaxCapacity=3, **place)
    scaling.put_scaling_policy(
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            "ScaleInCooldown": 60,
            "ScaleOutCooldown": 60,
        },
        **place,
    )


class Load:
    """Requests one after another, until it is over."""

    def __init__(self, local: Local, name: str, text: str = "x") -> None:
        self._client = local.client("sagemaker-runtime")
        self._name = name
        self._text = text
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.02):
            with suppress(self._client.exceptions.ClientError):
                self._client.invoke_endpoint(
                    EndpointName=self._name,
                    ContentType="application/json",
                    Body=json.dumps(self._text),
                )


def described(local: Local, name: str) -> dict[str, Any]:
    found = local.client("sagemaker").describe_endpoint(EndpointName=name)
    variant: dict[str, Any] = found["ProductionVariants"][0]
    return variant


def until(condition: Any, *, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_instances_follow_the_traffic_out_and_in(local: Local) -> None:
    deploy(local, "followed", InstanceType="ml.m5.large", InitialInstanceCount=1)
    follow(
        local,
        "followed",
        "sagemaker:variant:DesiredInstanceCount",
        "SageMakerVariantInvocationsPerInstance",
        target=300,  # a minute, which here is five a second
    )

    with Load(local, "followed"):
        until(lambda: described(local, "followed")["CurrentInstanceCount"] == 3)
    until(lambda: described(local, "followed")["CurrentInstanceCount"] == 1)


def test_an_alarm_on_errors_rolls_an_update_back(local: Local) -> None:
    deploy(local, "guarded", InstanceType="ml.m5.large", InitialInstanceCount=1)
    sagemaker, cloud_watch = local.client("sagemaker"), local.client("cloudwatch")
    sagemaker.create_endpoint_config(
        EndpointConfigName="guarded-two",
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": "echo",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
        ],
    )
    cloud_watch.put_metric_alarm(
        AlarmName="errors",
        Namespace="AWS/SageMaker",
        MetricName="InvocationModelErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": "guarded"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    routing = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": 3600,
    }

    sagemaker.update_endpoint(
        EndpointName="guarded",
        EndpointConfigName="guarded-two",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
        },
    )
    with Load(local, "guarded", "bad"):
        wait(sagemaker, "guarded")

    now = sagemaker.describe_endpoint(EndpointName="guarded")
    assert now["EndpointConfigName"] == "guarded"
    assert "errors" in now["FailureReason"]
