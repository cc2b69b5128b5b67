"""`portside build --push` into the local ECR, as a user does it; boto3 looks at what came."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.conftest import Done, Portside, new_portside
from tests.integration.image_parts import debian

ECR = "000000000000.dkr.ecr.us-east-1.amazonaws.com"
PROGRAM = "def predict(data, model):\n    return data\n"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
PART_MB = 20
MEASURED = """
import sys
from pathlib import Path
from portside.cli.application import run

assert run(sys.argv[1:]) == 0
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].partition("\\n")[0])
"""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder whose image is made once, and the local AWS that it goes to."""

    folder: Path
    portside: Portside
    client: Any

    def arguments(self, name: str) -> list[str | Path]:
        return ["build", self.folder, "--base", debian("amd64"), "--push", f"{ECR}/{name}"]

    def push(self, name: str) -> Done:
        done = self.portside.run(*self.arguments(name))
        assert done.code == 0, done.err
        return done

    def begin_push(self, name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "portside", *map(str, self.arguments(name))],
            env=self.portside.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def digest(self, repository: str, tag: str = "1") -> str:
        (image,) = self.client.describe_images(
            repositoryName=repository, imageIds=[{"imageTag": tag}]
        )["imageDetails"]
        return str(image["imageDigest"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("push") / "ner"
    folder.mkdir()
    (folder / "inference.py").write_text(PROGRAM)
    portside = new_portside(tmp_path_factory.mktemp("ecr") / "local")
    built = portside.run("build", folder, "--base", debian("amd64"))
    if "could not fetch the dependencies" in built.err:
        pytest.skip(f"the package index is out of reach: {built.err}")
    portside("local", "start")
    variables = portside.client_environment()
    client = boto3.client(
        "ecr",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    try:
        yield Project(folder=folder, portside=portside, client=client)
    finally:
        portside("local", "stop")


def sent_mb(done: Done) -> float:
    found = re.search(r"([\d.]+) MB sent", done.err)
    assert found, done.err
    return float(found[1])


def test_a_push_makes_the_repository_and_sends_what_changed_alone(project: Project) -> None:
    first = project.push("team/ner:1")
    again = project.push("team/ner:1")
    (project.folder / "inference.py").write_text(f"{PROGRAM}# changed\n")
    try:
        changed = project.push("team/ner:2")
    finally:
        (project.folder / "inference.py").write_text(PROGRAM)

    (made,) = project.client.describe_repositories(repositoryNames=["team/ner"])["repositories"]
    tags = project.client.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    assert tags == [{"Key": "portside:project", "Value": "ner"}]
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert first.out.strip() == f"{ECR}/team/ner@{project.digest('team/ner')}"
    (image,) = project.client.batch_get_image(
        repositoryName="team/ner", imageIds=[{"imageTag": "1"}]
    )["images"]
    assert json.loads(image["imageManifest"])["mediaType"] == DOCKER
    assert again.out == first.out
    assert "0 B sent" in again.err
    assert "3 of 5 blobs were there already" in changed.err
    assert project.digest("team/ner", "2") != project.digest("team/ner", "1")


def test_a_push_that_was_killed_goes_on_in_the_middle_of_a_layer(project: Project) -> None:
    records = project.folder / ".portside" / "image" / "uploads"
    process = project.begin_push("killed:1")
    while not any(b"upload_id" in record.read_bytes() for record in records.glob("*.json")):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    again = project.push("killed:1")

    assert "going on:" in again.err
    assert sent_mb(again) < sent_mb(project.push("whole:1")) - PART_MB
    assert project.digest("killed") == again.out.strip().rpartition("@")[2]
    assert not list(records.glob("*"))


def test_memory_stays_flat_whatever_the_layers_have(project: Project) -> None:
    command = [sys.executable, "-c", MEASURED, *map(str, project.arguments("flat:1"))]

    told = subprocess.check_output(command, env=project.portside.environment, text=True)

    peak_kb = int(told.split()[-2])
    assert peak_kb < 330_000


def test_two_pushes_at_once_both_succeed(project: Project) -> None:
    processes = [project.begin_push("twice:1") for _ in range(2)]

    ended = [(process.communicate(), process.returncode) for process in processes]

    assert [code for _, code in ended] == [0, 0], ended
    assert {out.strip() for (out, _), _ in ended} == {f"{ECR}/twice@{project.digest('twice')}"}


def test_a_name_of_another_account_is_not_taken_for_the_local_one(project: Project) -> None:
    target = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ner:1"

    done = project.portside.run("build", project.folder, "--push", target)

    assert done.code == 2
    assert "the local AWS is the account `000000000000` in `us-east-1`" in done.err
    assert f"--target aws` for AWS itself, or push to `{ECR}/ner:1`" in done.err
