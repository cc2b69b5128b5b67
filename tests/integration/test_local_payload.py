"""Bodies over SageMaker's limits, through the gateway to endpoints that run."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.local_edge import Local, end, start
from tests.integration.local_role import execution_role
from tests.integration.test_local_edge import MIB

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/portside-runtime:1"
LENGTH = b"def load_model(model_dir): ...\n\ndef predict(data, model): return len(data)\n"
CAPACITY = {
    "realtime": {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1},
    "serverless": {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}},
}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The client of a local SageMaker with one endpoint of each kind, named by it."""
    local = start(tmp_path_factory.mktemp("local"))
    try:
        deploy(local)
        yield local.client("sagemaker-runtime")
    finally:
        end(local)


def deploy(local: Local) -> None:
    s3, sagemaker = local.client("s3"), local.client("sagemaker")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=artifact())
    container = {"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"}
    sagemaker.create_model(
        ModelName="length",
        PrimaryContainer=container,
        ExecutionRoleArn=execution_role(local),
    )
    for name, capacity in CAPACITY.items():
        variant = {"VariantName": "AllTraffic", "ModelName": "length", **capacity}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    for name in CAPACITY:
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
        )


def artifact() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(LENGTH)
        tar.addfile(member, io.BytesIO(LENGTH))
    return out.getvalue()


def text(size_bytes: int) -> bytes:
    """A JSON string of so many bytes, quotes included."""
    return b'"%s"' % (b"x" * (size_bytes - 2))


@pytest.mark.parametrize(
    ("endpoint", "size_bytes"), [("serverless", 4 * MIB), ("realtime", 5 * MIB)]
)
def test_what_fits_is_answered(runtime: Any, endpoint: str, size_bytes: int) -> None:
    answer = runtime.invoke_endpoint(
        EndpointName=endpoint, ContentType="application/json", Body=text(size_bytes)
    )

    assert answer["Body"].read().strip() == b"%d" % (size_bytes - 2)


@pytest.mark.parametrize(
    ("endpoint", "size_bytes", "status", "code", "words"),
    [
        ("serverless", 4 * MIB + 1, 400, "ValidationError", "has oversize body."),
        ("serverless", 26 * MIB, 400, "ValidationError", "has oversize body."),
        ("realtime", 25 * MIB + 1, 413, "413", "HTTP content length exceeded 26214400 bytes."),
    ],
)
def test_what_does_not_is_refused_in_the_words_of_its_kind(
    runtime: Any, endpoint: str, size_bytes: int, status: int, code: str, words: str
) -> None:
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="application/json", Body=text(size_bytes)
        )

    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["Error"]["Code"] == code
    assert response["Error"]["Message"].endswith(words)
