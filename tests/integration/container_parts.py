"""A podman of the tests' own, and a local SageMaker that uses it."""

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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests import debian

PACKAGES = ("podman", "runc", "mmdebstrap", "iptables", "containernetworking-plugins")


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


@contextmanager
def own_podman() -> Iterator[Podman]:
    """podman with nothing of the user's."""
    if os.getuid() != 0:
        pytest.skip("only root's podman works in every machine that tests run on")
    install()
    # Not pytest's folder: the paths of podman's sockets have at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    mine = Podman(environment={**os.environ, **settings(folder)})
    try:
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

    def configure(
        self,
        name: str,
        *,
        image: str,
        artifact: str = "model.tar.gz",
        environment: dict[str, str] | None = None,
        **variant: Any,
    ) -> None:
        container: dict[str, Any] = {"Image": image, "ModelDataUrl": f"s3://models/{artifact}"}
        container["Environment"] = environment or {}
        sagemaker = self.client("sagemaker")
        role = "arn:aws:iam::000000000000:role/portside"
        sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role)
        sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[{"VariantName": "All", "ModelName": name, **variant}],
        )

    def create(self, name: str, **what: Any) -> None:
        """An endpoint with a Model and an EndpointConfig of the same name."""
        self.configure(name, **what)
        self.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)

    def settled(self, name: str) -> dict[str, Any]:
        """The endpoint, once it is InService or Failed."""

        def described() -> dict[str, Any]:
            return self.client("sagemaker").describe_endpoint(EndpointName=name)

        wait_for(lambda: described()["EndpointStatus"] in {"InService", "Failed"})
        return described()

    def invoke(self, name: str, body: str = "") -> dict[str, Any]:
        runtime = self.client("sagemaker-runtime")
        answer = runtime.invoke_endpoint(
            EndpointName=name, ContentType="application/json", Body=body.encode()
        )
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
