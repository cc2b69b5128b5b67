"""Instances as containers of a real podman: image, limits, confinement, logs, leftovers.

podman and runc are installed with apt where they are missing; storage, network and settings
are the test's own. The image is made from Debian's packages, so no registry is asked.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests import debian

BASE = Path(__file__).parents[2] / ".portside" / "images" / "bookworm-python3.tar"
REPOSITORY = "000000000000.dkr.ecr.us-east-1.amazonaws.com/echo"
IMAGE = f"{REPOSITORY}:1"
PACKAGES = ("podman", "runc", "mmdebstrap", "iptables", "containernetworking-plugins")
MULTI_LINE = 'one\n"two" = 3\n'

# Answers with what its container is like; `eat` and `exit` end it.
SERVER = """
import json, os, signal, socket, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def attempt(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return "written"

def act(body):
    if body == "eat":
        b"x" * (4 << 30)
    if body == "exit":
        os._exit(3)
    tried = ("/opt/ml/model/x", "/x", "/tmp/x", "/dev/shm/x")
    return {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "host": socket.gethostname(),
        "user": os.getuid(),
        "model": sorted(os.listdir("/opt/ml/model")),
        "written": {path: attempt(path) for path in tried},
    }

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps(act(body.decode())).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

def leave(*_):
    print("told to stop", flush=True)
    os._exit(0)

signal.signal(signal.SIGTERM, leave)
print("listening", flush=True)
print("and complaining", file=sys.stderr, flush=True)
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


# --- A podman of the test's own ----------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Podman:
    environment: dict[str, str]

    def __call__(self, *arguments: str) -> str:
        return run("podman", *arguments, environment=self.environment)

    def containers(self) -> set[str]:
        return set(self("ps", "--all", "--quiet", "--no-trunc").split())


def run(*command: str | Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[:2]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def install() -> None:
    debian.need("podman", "runc", "mmdebstrap", packages=PACKAGES)


def base() -> Path:
    """A Debian with Python and nothing else, made once for each checkout."""
    if not BASE.exists():
        BASE.parent.mkdir(parents=True, exist_ok=True)
        draft = BASE.with_name(f"draft-{os.getpid()}.tar")
        try:
            run("mmdebstrap", "--variant=extract", "--include=python3", "bookworm", draft)
        except RuntimeError as error:
            draft.unlink(missing_ok=True)
            pytest.skip(f"the base image cannot be made: {error}")
        draft.replace(BASE)
    return BASE


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """podman with an image that answers, and nothing of the user's."""
    if os.getuid() != 0:
        pytest.skip("only root's podman works in every machine that tests run on")
    install()
    # Not pytest's folder: the paths of podman's sockets have at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    mine = Podman(environment={**os.environ, **settings(folder)})
    try:
        entrypoint = json.dumps(["python3", "-c", textwrap.dedent(SERVER)])
        mine("import", "--change", f"ENTRYPOINT {entrypoint}", str(base()), IMAGE)
        yield mine
        mine("rm", "--force", "--all", "--time", "0")
        mine("network", "prune", "--force")
    finally:
        subprocess.run(["umount", folder / "root" / "overlay"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def settings(folder: Path) -> dict[str, str]:
    """runc and low limits, because they work in machines with old cgroups and few rights too."""
    containers = f"""
        [containers]
        default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
        [engine]
        runtime = "runc"
        cgroup_manager = "cgroupfs"
        events_logger = "file"
        tmp_dir = "{folder}/tmp"
        [network]
        network_config_dir = "{folder}/networks"
        """
    storage = f"""
        [storage]
        driver = "overlay"
        graphroot = "{folder}/root"
        runroot = "{folder}/run"
        """
    (folder / "networks").mkdir()
    (folder / "containers.conf").write_text(textwrap.dedent(containers))
    (folder / "storage.conf").write_text(textwrap.dedent(storage))
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }


# --- A local SageMaker that uses it ------------------------------------------


@dataclass
class Local:
    data: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, engine: str = "podman") -> None:
        options = ("--data", self.data, "--port", "0", "--engine", engine)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portside.local", *options],
            env=self.environment,
            stderr=subprocess.PIPE,
        )
        wait_for(lambda: self.said().get("pid") == self.process.pid or self.has_ended())

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self, number: int = signal.SIGTERM) -> str:
        if self.process is None:
            return ""
        if not self.has_ended():
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=40)
        return errors.decode()

    def said(self) -> dict[str, Any]:
        try:
            return json.loads((self.data / "running.json").read_text())
        except FileNotFoundError:
            return {}

    def client(self, service: str) -> Any:
        keys = json.loads((self.data / "keys.json").read_text())
        return boto3.client(
            service,
            endpoint_url=self.said()["url"],
            region_name="us-east-1",
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def create(self, name: str, *, image: str = IMAGE, **variant: Any) -> None:
        container = {"Image": image, "ModelDataUrl": "s3://models/model.tar.gz"}
        container["Environment"] = {"PLAIN": " a=b ", "LINES": MULTI_LINE, "QUOTED": '"x"'}
        sagemaker = self.client("sagemaker")
        role = "arn:aws:iam::000000000000:role/portside"
        sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role)
        sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[{"VariantName": "All", "ModelName": name, **variant}],
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    def settled(self, name: str) -> dict[str, Any]:
        """The endpoint, once it is InService or Failed."""

        def described() -> dict[str, Any]:
            return self.client("sagemaker").describe_endpoint(EndpointName=name)

        wait_for(lambda: described()["EndpointStatus"] in {"InService", "Failed"})
        return described()

    def invoke(self, name: str, body: str = "") -> dict[str, Any]:
        runtime = self.client("sagemaker-runtime")
        answer = runtime.invoke_endpoint(EndpointName=name, Body=body.encode())
        return json.loads(answer["Body"].read())

    def invoke_in_vain(self, name: str, body: str) -> None:
        runtime = self.client("sagemaker-runtime")
        with pytest.raises(runtime.exceptions.ModelError):
            runtime.invoke_endpoint(EndpointName=name, Body=body.encode())

    def answers(self, name: str) -> bool:
        runtime = self.client("sagemaker-runtime")
        try:
            return bool(self.invoke(name))
        except runtime.exceptions.ClientError:
            return False

    def log(self, name: str) -> list[str]:
        group = f"/aws/sagemaker/Endpoints/{name}"
        events = self.client("logs").filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def local(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """One with a role and an artifact, and the endpoints `real` and `small` on their way."""
    environment = {name: value for name, value in podman.environment.items() if "AWS" not in name}
    local = Local(data=tmp_path_factory.mktemp("local"), environment=environment)
    local.start()
    try:
        prepare(local)
        local.create("real", InstanceType="ml.m5.large", InitialInstanceCount=1)
        serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
        local.create("small", ServerlessConfig=serverless)
        yield local
    finally:
        local.stop()


def prepare(local: Local) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}}
    trust["Action"] = "sts:AssumeRole"
    policy = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam, s3 = local.client("iam"), local.client("s3")
    iam.create_role(RoleName="portside", AssumeRolePolicyDocument=document(trust))
    iam.put_role_policy(RoleName="portside", PolicyName="all", PolicyDocument=document(policy))
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=artifact())


def document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def artifact() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        member = tarfile.TarInfo("weights")
        member.mode, member.size = 0o600, 3
        tar.addfile(member, io.BytesIO(b"abc"))
    return content.getvalue()


# --- What they do together ---------------------------------------------------


def test_an_instance_is_what_sagemaker_would_run(local: Local, podman: Podman) -> None:
    described = local.settled("real")
    assert described["EndpointStatus"] == "InService", local.log("real")

    seen = local.invoke("real")

    assert seen["arguments"] == ["serve"]
    assert seen["host"] == "container-0.local"
    assert seen["model"] == ["weights"]
    assert seen["written"]["/opt/ml/model/x"] == "Read-only file system"
    assert seen["written"]["/x"] == "written"
    told = {"PLAIN": " a=b ", "LINES": MULTI_LINE, "QUOTED": '"x"', "AWS_REGION": "us-east-1"}
    assert told.items() <= seen["environment"].items()
    assert local.log("real") == ["listening", "and complaining"]
    (image,) = described["ProductionVariants"][0]["DeployedImages"]
    assert image["ResolvedImage"].startswith(f"{REPOSITORY}@sha256:")
    networks = podman("network", "ls", "--format", "{{.Name}}").split()
    assert "sagemaker-local" in networks
    ports = podman("ps", "--all", "--format", "{{.Ports}}").split("\n")
    assert all(line.startswith("127.0.0.1:") for line in ports if line)


def test_serverless_may_do_no_more_than_compute(local: Local) -> None:
    assert local.settled("small")["EndpointStatus"] == "InService"

    seen = local.invoke("small")

    assert seen["user"] == 993
    assert seen["model"] == ["weights"]
    assert seen["written"] == {
        "/opt/ml/model/x": "Read-only file system",
        "/x": "Read-only file system",
        "/tmp/x": "written",
        "/dev/shm/x": "No such file or directory",
    }


def test_over_its_memory_size_an_instance_dies_and_is_replaced(local: Local) -> None:
    local.settled("small")
    assert local.answers("small")

    local.invoke_in_vain("small", "eat")

    wait_for(lambda: local.answers("small"))
    (words,) = [line for line in local.log("small") if "exited" in line]
    assert "exited with code 137" in words
    assert "over its memory limit of 1024 MB" in words


def test_an_instance_that_ends_by_itself_says_so_and_is_replaced(local: Local) -> None:
    local.settled("real")

    local.invoke_in_vain("real", "exit")

    wait_for(lambda: local.answers("real"))
    assert "The container exited with code 3" in local.log("real")


def test_an_image_that_nobody_holds_fails_the_endpoint(local: Local) -> None:
    local.create(
        "absent", image=f"{REPOSITORY}:2", InstanceType="ml.m5.large", InitialInstanceCount=1
    )

    described = local.settled("absent")

    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"].startswith("Please make sure all images included in")


def test_kill_9_leaves_no_container_after_the_next_start(local: Local, podman: Podman) -> None:
    local.settled("real")
    local.stop(signal.SIGKILL)
    left = podman.containers()
    assert left

    local.start()

    assert local.settled("real")["EndpointStatus"] == "InService"
    assert podman.containers().isdisjoint(left)
    assert local.answers("real")


def test_at_its_end_nothing_is_left(local: Local, podman: Podman) -> None:
    local.settled("real")

    local.stop()

    assert podman.containers() == set()
    assert list((local.data / "containers" / "podman").iterdir()) == []
    # The test before may have ended one without its last words; this one was told to stop.
    logs = "".join(path.read_text() for path in (local.data / "logs").rglob("*.log"))
    assert "told to stop" in logs


def test_an_engine_that_is_demanded_must_answer(tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nobody"}
    local = Local(data=tmp_path / "data", environment=environment)

    local.start("docker")
    said = local.stop()

    assert local.process is not None
    assert local.process.returncode == 2
    assert "error: could not find an engine to run containers: `docker`" in said
    assert "hint: see why with `docker info`" in said
