"""What a role must have before CreateModel and CreateEndpoint take it, by boto3."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.integration.local_edge import Local, end, start
from tests.integration.local_role import ACCOUNT, allowing, execution_role, trusting

IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/portside-runtime:1"
BUCKET = "models"
URL = f"s3://{BUCKET}/ner/model.tar.gz"
OBJECT = f"arn:aws:s3:::{BUCKET}/ner/*"
PULL = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    local = start(tmp_path_factory.mktemp("local"))
    try:
        fill(local, BUCKET)
        yield local
    finally:
        end(local)


def fill(local: Local, bucket: str) -> None:
    s3 = local.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="ner/model.tar.gz", Body=artifact())


def artifact() -> bytes:
    code = b"def load_model(model_dir): ...\n\ndef predict(data, model): return data\n"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(code)
        tar.addfile(member, io.BytesIO(code))
    return out.getvalue()


def create_model(local: Local, name: str, *, role: str, url: str = URL) -> Any:
    return local.client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn=role,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url},
    )


def refusal(local: Local, *, role: str, url: str = URL) -> str:
    with pytest.raises(ClientError) as caught:
        create_model(local, "refused", role=role, url=url)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    return str(error["Message"])


def no_access(role: str, url: str = URL) -> str:
    """Seen on AWS, philschmid/llm-sagemaker-sample#2."""
    return (
        f'Could not access model data at {url}. Please ensure that the role "{role}" exists and'
        ' that its trust relationship policy allows the action "sts:AssumeRole" for the service'
        ' principal "sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject"'
        " permissions and that the object is located in us-east-1. If your Model uses multiple"
        " models or uncompressed models, please ensure that the role has"
        ' "s3:ListBucket" permission.'
    )


def deploy(local: Local, name: str) -> dict[str, Any]:
    """What becomes of an endpoint with the Model of its name."""
    sagemaker = local.client("sagemaker")
    variant = {
        "VariantName": "v",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    try:
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
        )
    except WaiterError as error:
        return dict(error.last_response)
    return dict(sagemaker.describe_endpoint(EndpointName=name))


# --- CreateModel -------------------------------------------------------------


def test_a_role_that_is_not_there(local: Local) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/missing"

    assert refusal(local, role=role) == no_access(role)


def test_a_role_that_sagemaker_may_not_assume(local: Local) -> None:
    role = execution_role(local, "of-ec2", trust=trusting("ec2.amazonaws.com"))

    assert refusal(local, role=role) == no_access(role)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("pulls-only", allowing(*PULL)),
        ("reads-others", allowing("s3:GetObject", resource="arn:aws:s3:::others/*")),
        ("writes-only", allowing("s3:PutObject", "s3:ListBucket")),
    ],
)
def test_a_role_that_may_not_read_the_artifact(local: Local, name: str, policy: str) -> None:
    role = execution_role(local, name, policy=policy)

    assert refusal(local, role=role) == no_access(role)


def test_a_deny_that_is_added_later_wins(local: Local) -> None:
    role = execution_role(local, "denied")
    create_model(local, "before-the-deny", role=role)
    denial = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": OBJECT},
    }

    local.client("iam").put_role_policy(
        RoleName="denied", PolicyName="denies", PolicyDocument=json.dumps(denial)
    )

    assert refusal(local, role=role) == no_access(role)


def test_a_boundary_limits_what_the_policies_allow(local: Local) -> None:
    iam = local.client("iam")
    role = execution_role(local, "bounded")
    boundary = iam.create_policy(PolicyName="pulls", PolicyDocument=allowing(*PULL))["Policy"]

    iam.put_role_permissions_boundary(RoleName="bounded", PermissionsBoundary=boundary["Arn"])

    assert refusal(local, role=role) == no_access(role)


def test_policies_of_aws_are_known_to_the_letter(local: Local) -> None:
    """AmazonSageMakerFullAccess reads buckets with `sagemaker` in their names, and no others."""
    iam = local.client("iam")
    iam.create_role(RoleName="full", AssumeRolePolicyDocument=trusting())
    role = f"arn:aws:iam::{ACCOUNT}:role/full"
    iam.attach_role_policy(
        RoleName="full", PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    )
    fill(local, "my-sagemaker-models")

    assert refusal(local, role=role) == no_access(role)
    create_model(local, "full", role=role, url="s3://my-sagemaker-models/ner/model.tar.gz")
    iam.attach_role_policy(
        RoleName="full", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    )
    create_model(local, "full-and-s3", role=role)


# --- CreateEndpoint ----------------------------------------------------------


def test_the_least_that_a_role_needs(local: Local) -> None:
    iam = local.client("iam")
    role = execution_role(local, "least", policy=allowing("s3:GetObject", resource=OBJECT))
    repository = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/portside-runtime"
    for name, policy in (
        ("logs-in", allowing(PULL[0])),
        ("pulls", allowing(*PULL[1:], resource=repository)),
    ):
        iam.put_role_policy(RoleName="least", PolicyName=name, PolicyDocument=policy)
    create_model(local, "least", role=role)

    assert deploy(local, "least")["EndpointStatus"] == "InService"


def test_a_role_that_may_not_pull_the_image(local: Local) -> None:
    role = execution_role(local, "no-pull", policy=allowing("s3:GetObject"))
    create_model(local, "no-pull", role=role)

    failed = deploy(local, "no-pull")

    assert failed["EndpointStatus"] == "Failed"
    assert failed["FailureReason"] == (
        "Please make sure all images included in the model for the production variant v exist,"
        " and that the execution role used to create the model has permissions to access them."
    )


def test_a_role_that_lost_its_right_to_the_artifact(local: Local) -> None:
    role = execution_role(local, "lost")
    create_model(local, "lost", role=role)
    execution_role(local, "lost", policy=allowing("ecr:*"))

    failed = deploy(local, "lost")

    assert failed["EndpointStatus"] == "Failed"
    assert failed["FailureReason"] == (
        f'Failed to download model data for container "container_1" from URL: "{URL}". Please'
        " ensure that there is an object located at the URL and that the role passed to"
        " CreateModel has permissions to download the object."
    )


# --- Off ---------------------------------------------------------------------


def test_switched_off_any_role_will_do(tmp_path: Path) -> None:
    local = start(tmp_path, "--iam", "off")
    try:
        fill(local, BUCKET)
        create_model(local, "any", role=f"arn:aws:iam::{ACCOUNT}:role/missing")

        assert deploy(local, "any")["EndpointStatus"] == "InService"
    finally:
        end(local)
