"""The AWS CLI as anybody has it: only `AWS_ENDPOINT_URL` and keys are ours."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import program
from tests.e2e.conftest import ROLE, Served


@pytest.fixture(scope="module")
def aws_program() -> str:
    return program.aws()


class Aws:
    """Runs it in a folder of its own, with a home where nothing is configured."""

    def __init__(self, command: str, *, served: Served, folder: Path) -> None:
        self._command = command
        self._environment = served.environment | {"HOME": str(folder)}
        self._folder = folder

    def __call__(self, line: str, *more: str) -> str:
        done = subprocess.run(
            [self._command, *line.split(), *more],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"aws {line}\n{done.stderr}"
        return done.stdout

    def json(self, line: str, *more: str) -> Any:
        return json.loads(self(line, *more))


@pytest.fixture
def aws(aws_program: str, served: Served, tmp_path: Path) -> Aws:
    return Aws(aws_program, served=served, folder=tmp_path)


def test_objects_whole_in_parts_by_range_and_by_link(
    aws: Aws, served: Served, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(20 * 1024 * 1024))  # above its threshold of 8 MB for parts

    aws("s3 mb s3://by-aws")
    aws("s3 cp big s3://by-aws/folder/big --no-progress")
    aws("s3 cp s3://by-aws/folder/big back --no-progress")
    part = ("--range", "bytes=100-199", "part")
    aws("s3api get-object --bucket by-aws --key folder/big", *part)
    head = aws.json("s3api head-object --bucket by-aws --key folder/big")
    link = aws("s3 presign s3://by-aws/folder/big --expires-in 60").strip()

    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    assert (tmp_path / "part").read_bytes() == big.read_bytes()[100:200]
    assert head["ETag"].endswith('-3"')
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == big.read_bytes()


def test_an_endpoint_from_creation_to_deletion(aws: Aws, served: Served, tmp_path: Path) -> None:
    container = f"Image={served.image},ModelDataUrl=s3://{served.bucket}/{served.key}"
    variant = "VariantName=AllTraffic,ModelName=by-aws,InstanceType=ml.m5.large"
    aws(
        f"sagemaker create-model --model-name by-aws --execution-role-arn {ROLE}",
        "--primary-container",
        container,
    )
    aws(
        "sagemaker create-endpoint-config --endpoint-config-name by-aws",
        "--production-variants",
        f"{variant},InitialInstanceCount=1",
    )
    aws("sagemaker create-endpoint --endpoint-name by-aws --endpoint-config-name by-aws")
    wait_for_status(aws, "InService")  # it asks but every 30 seconds
    aws("sagemaker wait endpoint-in-service --endpoint-name by-aws")

    assert invoke(aws, "by-aws", tmp_path) == [2]
    assert "by-aws" in aws("sagemaker list-endpoints --name-contains by-aws --output text")

    aws("sagemaker delete-endpoint --endpoint-name by-aws")


def wait_for_status(aws: Aws, status: str) -> None:
    until = time.monotonic() + 60
    described = "sagemaker describe-endpoint --endpoint-name by-aws --query EndpointStatus"
    while aws.json(described) != status:
        assert time.monotonic() < until, f"it did not become {status}"


def invoke(aws: Aws, endpoint: str, folder: Path) -> Any:
    (folder / "request.json").write_text(json.dumps({"strings": ["Grace Hopper"]}))
    aws(
        f"sagemaker-runtime invoke-endpoint --endpoint-name {endpoint}",
        *("--content-type", "application/json", "--body", "fileb://request.json", "answer.json"),
    )
    return json.loads((folder / "answer.json").read_text())


def test_logs_are_filtered_and_read(aws: Aws, served: Served, tmp_path: Path) -> None:
    invoke(aws, served.endpoint, tmp_path)
    group = ("--log-group-name", f"/aws/sagemaker/Endpoints/{served.endpoint}")

    found = aws.json("logs filter-log-events --filter-pattern counting", *group)
    stream = found["events"][-1]["logStreamName"]
    read = aws.json("logs get-log-events --log-stream-name", stream, *group)

    assert "counting 1 texts" in [event["message"].strip() for event in found["events"]]
    assert "counting 1 texts" in [event["message"].strip() for event in read["events"]]
