"""boto3's larger movements: paginators, waiters, transfers, links, roles, logs."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, WaiterError

from tests.e2e.conftest import QUICKLY, ROLE, TRUST, Served

MIB = 1024 * 1024
VARIANT = {
    "VariantName": "AllTraffic",
    "ModelName": "words",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 1,
}


@pytest.fixture(autouse=True)
def only_variables_are_ours(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in served.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the keys that it found first


@pytest.fixture
def sagemaker(served: Served) -> Any:
    return boto3.client("sagemaker")


@pytest.fixture
def s3(served: Served) -> Any:
    return boto3.client("s3")


def invoke(endpoint: str, **credentials: str) -> Any:
    answer = boto3.client("sagemaker-runtime", **credentials).invoke_endpoint(  # type: ignore[call-overload]  # any credentials
        EndpointName=endpoint,
        ContentType="application/json",
        Body=json.dumps({"strings": ["Grace Hopper", "Leon"]}),
    )
    return json.loads(answer["Body"].read())


def test_an_endpoint_from_creation_to_deletion_with_both_waiters(sagemaker: Any) -> None:
    sagemaker.create_endpoint_config(EndpointConfigName="brief", ProductionVariants=[VARIANT])
    sagemaker.create_endpoint(EndpointName="brief", EndpointConfigName="brief")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="brief", WaiterConfig=QUICKLY)
    assert invoke("brief") == [2, 1]

    sagemaker.delete_endpoint(EndpointName="brief")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="brief", WaiterConfig=QUICKLY)

    sagemaker.delete_endpoint_config(EndpointConfigName="brief")
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName="brief")


def test_a_waiter_gives_up_on_what_is_not_there(sagemaker: Any) -> None:
    with pytest.raises(WaiterError, match="terminal failure"):
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="missing")


def test_every_paginator_sees_every_page(sagemaker: Any) -> None:
    names = [f"page-{number}" for number in range(7)]
    for name in names:
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[VARIANT])

    paginator = sagemaker.get_paginator("list_endpoint_configs")
    pages = list(paginator.paginate(NameContains="page-", PaginationConfig={"PageSize": 3}))
    endpoints = sagemaker.get_paginator("list_endpoints").paginate(StatusEquals="InService")
    models = sagemaker.get_paginator("list_models").paginate(PaginationConfig={"PageSize": 1})

    assert [len(page["EndpointConfigs"]) for page in pages] == [3, 3, 1]
    listed = [one["EndpointConfigName"] for page in pages for one in page["EndpointConfigs"]]
    assert listed == names[::-1]  # newest first
    assert "words" in [one["EndpointName"] for page in endpoints for one in page["Endpoints"]]
    assert "words" in [one["ModelName"] for page in models for one in page["Models"]]
    for name in names:
        sagemaker.delete_endpoint_config(EndpointConfigName=name)


def test_a_big_file_in_parts_and_a_range_of_it(s3: Any, served: Served, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(20 * MIB))
    parts = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)

    s3.upload_file(str(there), served.bucket, "big", Config=parts)
    s3.download_file(served.bucket, "big", str(back), Config=parts)
    part = s3.get_object(Bucket=served.bucket, Key="big", Range="bytes=8388600-8388700")

    assert back.read_bytes() == there.read_bytes()
    assert part["Body"].read() == there.read_bytes()[8388600:8388701]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=served.bucket)
    assert "big" in [one["Key"] for page in pages for one in page["Contents"]]


def test_links_as_boto3_makes_them_by_itself(s3: Any, served: Served) -> None:
    """Of version 2 in us-east-1, until somebody asks for version 4."""
    where = {"Bucket": served.bucket, "Key": "by link"}
    put = s3.generate_presigned_url("put_object", {**where, "ContentType": "text/plain"})
    get = s3.generate_presigned_url("get_object", where)
    assert "AWSAccessKeyId=" in get

    request = urllib.request.Request(put, data=b"content", method="PUT")
    request.add_header("Content-Type", "text/plain")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"content"

    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(get.replace("by%20link", "big"))
    refused.value.close()


def test_whoever_assumes_a_role_may_call_with_its_token_alone(served: Served) -> None:
    given = boto3.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"]
    session = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    s3 = boto3.client("s3", **session)

    assert boto3.client("sts", **session).get_caller_identity()["Arn"].endswith("/runs/me")
    assert invoke(served.endpoint, **session) == [2, 1]
    s3.put_object(Bucket=served.bucket, Key="by session", Body=b"content")
    link = s3.generate_presigned_url("get_object", {"Bucket": served.bucket, "Key": "by session"})
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"content"
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        invoke(served.endpoint, **(session | {"aws_session_token": "another"}))


def test_a_session_of_the_account_itself(served: Served) -> None:
    given = boto3.client("sts").get_session_token()["Credentials"]
    iam = boto3.client(
        "iam",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )

    assert iam.get_role(RoleName="runs")["Role"]["AssumeRolePolicyDocument"] == TRUST


def test_the_log_says_what_the_handler_printed(served: Served) -> None:
    invoke(served.endpoint)
    logs = boto3.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/sagemaker/Endpoints/{served.endpoint}", filterPattern="counting"
    )

    assert "counting 2 texts" in [
        one["message"].strip() for page in pages for one in page["events"]
    ]
