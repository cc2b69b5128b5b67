"""boto3 as anybody has it: only `AWS_ENDPOINT_URL` and the keys of `portside local env`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Portside

PROGRAM = """
import json, os, sys
import boto3

archive = sys.argv[1]
trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"},
         "Action": "sts:AssumeRole"}
allow = {"Effect": "Allow", "Action": ["s3:GetObject", "ecr:*"], "Resource": "*"}
iam = boto3.client("iam")
role = iam.create_role(
    RoleName="runs",
    AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
)["Role"]["Arn"]
iam.put_role_policy(
    RoleName="runs",
    PolicyName="reads",
    PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
)
boto3.client("s3").create_bucket(Bucket="mine")
boto3.client("s3").upload_file(archive, "mine", "model.tar.gz")
sagemaker = boto3.client("sagemaker")
sagemaker.create_model(
    ModelName="ner",
    PrimaryContainer={
        "Image": os.environ["PORTSIDE_RUNTIME_IMAGE"],
        "ModelDataUrl": "s3://mine/model.tar.gz",
    },
    ExecutionRoleArn=role,
)
sagemaker.create_endpoint_config(
    EndpointConfigName="ner",
    ProductionVariants=[{
        "VariantName": "AllTraffic",
        "ModelName": "ner",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }],
)
sagemaker.create_endpoint(EndpointName="ner", EndpointConfigName="ner")
waiter = {"Delay": 1, "MaxAttempts": 60}
sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="ner", WaiterConfig=waiter)
answer = boto3.client("sagemaker-runtime").invoke_endpoint(
    EndpointName="ner",
    ContentType="application/json",
    Body=json.dumps({"strings": ["Grace Hopper lives in New York"]}),
)
print(answer["Body"].read().decode())
sagemaker.delete_endpoint(EndpointName="ner")
sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="ner", WaiterConfig=waiter)
sagemaker.delete_endpoint_config(EndpointConfigName="ner")
sagemaker.delete_model(ModelName="ner")
"""


def run(
    program: str, *arguments: str, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=inherited | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_whole_way_with_two_variables_and_nothing_of_ours(
    portside: Portside, ner: Path
) -> None:
    artifact = portside("package", ner).out.strip()
    portside("local", "start")

    done = run(PROGRAM, artifact, variables=portside.client_environment())

    assert done.returncode == 0, done.stderr
    (entities,) = json.loads(done.stdout)
    assert [(entity["entity_group"], entity["word"]) for entity in entities] == [
        ("GIVEN_NAME", "grace"),
        ("SURNAME", "hopper"),
        ("STATE", "new york"),
    ]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("client('s3').list_buckets()", "SignatureDoesNotMatch"),
        ("client('sagemaker').list_endpoints()", "InvalidSignatureException"),
        ("client('sts').get_caller_identity()", "SignatureDoesNotMatch"),
        (
            "client('sagemaker-runtime').invoke_endpoint(EndpointName='ner', Body=b'{}')",
            "InvalidSignatureException",
        ),
    ],
)
def test_a_wrong_secret_is_refused(portside: Portside, call: str, code: str) -> None:
    portside("local", "start")
    wrong = portside.client_environment() | {"AWS_SECRET_ACCESS_KEY": "wrong" * 8}
    program = f"""
import boto3, botocore.exceptions
try:
    boto3.{call}
except botocore.exceptions.ClientError as error:
    print(error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
"""

    done = run(program, variables=wrong)

    assert done.stdout.split() == ["403", code], done.stderr
