"""`curl --aws-sigv4`, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.e2e import program
from tests.e2e.conftest import Served


@pytest.fixture(scope="module")
def curl_program() -> str:
    found = program.system("curl", package="curl")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.match(r"curl (\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < (7, 75):
        pytest.skip(f"this curl knows no --aws-sigv4: {said.splitlines()[0]}")
    return found


def curl(command: str, served: Served, *more: str, secret: str | None = None) -> tuple[int, str]:
    """The status and the body; curl reads the keys from stdin, where nobody sees them."""
    variables = served.variables
    secret = secret or variables["AWS_SECRET_ACCESS_KEY"]
    signed = f"aws:amz:{variables['AWS_REGION']}:sagemaker"
    quiet = ("--silent", "--show-error", "--noproxy", "*")
    told = ("--config", "-", "--aws-sigv4", signed, "--write-out", "\n%{http_code}")
    done = subprocess.run(
        [command, *quiet, *told, *more],
        input=f'user = "{variables["AWS_ACCESS_KEY_ID"]}:{secret}"',
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_an_invocation(curl_program: str, served: Served) -> None:
    url = f"{served.url}/endpoints/{served.endpoint}/invocations"
    request = ("--header", "Content-Type: application/json", "--data", '{"strings": ["a b c"]}')

    assert curl(curl_program, served, url, *request) == (200, "[3]")
    status, said = curl(curl_program, served, url, *request, secret="wrong" * 8)

    assert status == 403
    assert "signature we calculated does not match" in json.loads(said)["message"]


def test_an_operation_of_the_control_plane(curl_program: str, served: Served) -> None:
    status, said = curl(
        curl_program,
        served,
        f"{served.url}/",
        *("--header", "X-Amz-Target: SageMaker.DescribeEndpoint"),
        *("--header", "Content-Type: application/x-amz-json-1.1"),
        *("--data", json.dumps({"EndpointName": served.endpoint})),
    )

    assert (status, json.loads(said)["EndpointStatus"]) == (200, "InService")
