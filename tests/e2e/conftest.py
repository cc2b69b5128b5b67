"""What end-to-end tests share: the command line with a local AWS of its own.

The clients of others share one more, and its one endpoint.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"

QUICKLY = {"Delay": 0.1, "MaxAttempts": 300}
"""How a test has boto3's waiters wait."""
ROLE = "arn:aws:iam::000000000000:role/runs"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:*", "ecr:*", "logs:*", "cloudwatch:PutMetricData"],
            "Resource": "*",
        }
    ],
}
"""What an endpoint's role may do on AWS, too, if it is to serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portside:
    """The command line in an environment of its own."""

    environment: dict[str, str]
    data: Path

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> Done:
        """Run a command to its end, whatever it is."""
        done = subprocess.run(
            [sys.executable, "-m", "portside", *map(str, arguments)],
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def __call__(self, *arguments: str | Path, cwd: Path | None = None) -> Done:
        """Run a command that must succeed."""
        done = self.run(*arguments, cwd=cwd)
        assert done.code == 0, f"portside {' '.join(map(str, arguments))}\n{done.out}{done.err}"
        return done

    def client_environment(self) -> dict[str, str]:
        """What `portside local env` gives to any client, and nothing else of AWS's."""
        return self("local", "env", "--json").json


@pytest.fixture
def portside(tmp_path: Path) -> Iterator[Portside]:
    """The command line with a data folder and a port of its own; stopped at the end."""
    command = new_portside(tmp_path / "local")
    yield command
    command("local", "stop")


def new_portside(data: Path) -> Portside:
    """The command line with this data folder and a free port."""
    made = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    made |= {
        "PORTSIDE_LOCAL_DATA": str(data),
        "PORTSIDE_LOCAL_PORT": str(free_port()),
        "NO_COLOR": "1",
    }
    return Portside(environment=made, data=data)


@pytest.fixture
def ner(tmp_path: Path, rampart_model: Path) -> Path:
    """A copy of the example with its model, to deploy and to change."""
    project = tmp_path / "ner"
    (project / "model").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "ner" / "portside.toml", project)
    for file in rampart_model.iterdir():
        shutil.copy(file, project / "model")
    return project


# --- The one that clients share ----------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A local AWS with an endpoint InService, as a client is told of it."""

    variables: dict[str, str]
    """What `portside local env` gives, and nothing else of AWS's."""
    image: str
    endpoint: str
    bucket: str
    key: str
    """Where the endpoint's artifact is."""

    @property
    def url(self) -> str:
        return self.variables["AWS_ENDPOINT_URL"]

    @property
    def environment(self) -> dict[str, str]:
        """Of a client's process."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | self.variables


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An endpoint that counts words; made once, for tests that leave it as it is."""
    command = new_portside(tmp_path_factory.mktemp("served") / "local")
    command("local", "start")
    try:
        variables = command.client_environment()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the keys that it found first
            made = serve(variables)
        yield made
    finally:
        command("local", "stop")


def serve(variables: dict[str, str]) -> Served:
    made = Served(
        variables=variables,
        image=variables["PORTSIDE_RUNTIME_IMAGE"],
        endpoint="words",
        bucket="models",
        key="words/model.tar.gz",
    )
    iam, s3, sagemaker = (boto3.client(name) for name in ("iam", "s3", "sagemaker"))
    iam.create_role(RoleName="runs", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="runs", PolicyName="serves", PolicyDocument=json.dumps(POLICY))
    s3.create_bucket(Bucket=made.bucket)
    s3.put_object(Bucket=made.bucket, Key=made.key, Body=counting_artifact())
    sagemaker.create_model(
        ModelName="words",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={
            "Image": made.image,
            "ModelDataUrl": f"s3://{made.bucket}/{made.key}",
        },
    )
    variant = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName="words",
        ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": "words", **variant}],
    )
    sagemaker.create_endpoint(EndpointName=made.endpoint, EndpointConfigName="words")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=made.endpoint, WaiterConfig=QUICKLY)
    return made


def counting_artifact() -> bytes:
    """A `model.tar.gz` that holds the handler alone."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.add(DATA / "counting_inference.py", "code/inference.py")
    return content.getvalue()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
