"""The local ECR as its clients meet it: boto3, the AWS CLI, skopeo, podman and Portside's own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests import debian
from tests.e2e import program
from tests.e2e.conftest import Portside, new_portside
from tests.integration import image_parts

MIB = 1024 * 1024
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
UNSUPPORTED = f"Unsupported manifest media type {OCI} for image"
ENSURE = "Ensure that valid manifest media type is used for specified image."


def layer(**files: bytes) -> tuple[bytes, str]:
    """A gzipped tar, and the digest of the tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), 1, mtime=0), digest_of(out.getvalue())


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Life:
    """A local AWS with its ECR, and clients for both."""

    portside: Portside
    variables: dict[str, str]

    @property
    def address(self) -> str:
        return self.variables["AWS_ENDPOINT_URL"].removeprefix("http://")

    def client(self, name: str) -> Any:
        session = boto3.Session(
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            region_name=self.variables["AWS_DEFAULT_REGION"],
        )
        return session.client(name, endpoint_url=self.variables["AWS_ENDPOINT_URL"])

    @property
    def pid(self) -> int:
        return int(json.loads((self.portside.data / "running.json").read_text())["pid"])

    def credentials(self) -> str:
        [given] = self.client("ecr").get_authorization_token()["authorizationData"]
        return base64.b64decode(given["authorizationToken"]).decode()

    def push_layer(self, repository: str, data: bytes, *, part: int = 20 * MIB) -> str:
        ecr = self.client("ecr")
        name = {"repositoryName": repository}
        asked = ecr.batch_check_layer_availability(**name, layerDigests=[digest_of(data)])
        if asked["layers"]:
            return digest_of(data)
        upload = name | {"uploadId": ecr.initiate_layer_upload(**name)["uploadId"]}
        for first in range(0, len(data), part):
            blob = data[first : first + part]
            last = first + len(blob) - 1
            ecr.upload_layer_part(
                **upload, partFirstByte=first, partLastByte=last, layerPartBlob=blob
            )
        done = ecr.complete_layer_upload(**upload, layerDigests=[digest_of(data)])
        return str(done["layerDigest"])

    def push(self, repository: str, tag: str, *, media_type: str = DOCKER, **files: bytes) -> str:
        """An image of one layer; its digest."""
        data, diff_id = layer(**files)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Entrypoint": ["/serve"]},
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
        ).encode()
        docker = media_type == DOCKER
        types = (
            "application/vnd.docker.container.image.v1+json"
            if docker
            else "application/vnd.oci.image.config.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
            if docker
            else "application/vnd.oci.image.layer.v1.tar+gzip",
        )
        described = [
            {"mediaType": kind, "size": len(blob), "digest": self.push_layer(repository, blob)}
            for kind, blob in zip(types, (config, data), strict=True)
        ]
        text = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": media_type,
                "config": described[0],
                "layers": described[1:],
            }
        )
        put = self.client("ecr").put_image(
            repositoryName=repository, imageManifest=text, imageTag=tag
        )
        return str(put["image"]["imageId"]["imageDigest"])


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    command = new_portside(tmp_path_factory.mktemp("ecr") / "local")
    command("local", "start")
    made = Life(command, command.client_environment())
    for name in ("app", "team/copied", "pulled"):
        made.client("ecr").create_repository(repositoryName=name)
    yield made
    command("local", "stop")


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{command[:4]}\n{done.stdout}{done.stderr}"
    return done.stdout


# --- boto3 -------------------------------------------------------------------


def test_a_layer_of_many_parts_comes_back_by_its_link(life: Life) -> None:
    data = os.urandom(41 * MIB)
    digest = life.push_layer("app", data)
    asked = {"repositoryName": "app", "layerDigest": digest}
    url = life.client("ecr").get_download_url_for_layer(**asked)["downloadUrl"]
    with urllib.request.urlopen(url) as answer:
        assert digest_of(answer.read()) == digest


def test_paginators_and_exceptions_are_boto3s_own(life: Life) -> None:
    ecr = life.client("ecr")
    for number in range(3):
        life.push("app", f"page-{number}", page=str(number).encode())
    pages = ecr.get_paginator("list_images").paginate(
        repositoryName="app", PaginationConfig={"PageSize": 2}
    )
    tags = {image.get("imageTag") for page in pages for image in page["imageIds"]}
    assert {"page-0", "page-1", "page-2"} <= tags
    pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 1})
    names = [one["repositoryName"] for page in pages for one in page["repositories"]]
    assert names == sorted(names)
    assert "team/copied" in names

    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.list_images(repositoryName="none")
    upload = ecr.initiate_layer_upload(repositoryName="app")["uploadId"]
    asked = {"repositoryName": "app", "uploadId": upload, "layerPartBlob": b"xx"}
    with pytest.raises(ecr.exceptions.InvalidLayerPartException) as caught:
        ecr.upload_layer_part(**asked, partFirstByte=5, partLastByte=6)
    assert caught.value.response["uploadId"] == upload
    with pytest.raises(ClientError, match="failed to satisfy constraint"):
        ecr.create_repository(repositoryName="../etc")


def test_memory_does_not_grow_with_the_layer(life: Life) -> None:
    life.push_layer("app", os.urandom(21 * MIB))
    before = peak_mb(life.pid)
    life.push_layer("app", os.urandom(84 * MIB))
    assert peak_mb(life.pid) - before < 60


def peak_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


# --- Models ------------------------------------------------------------------


def test_a_model_names_an_image_that_sagemaker_would_take(life: Life) -> None:
    sagemaker = life.client("sagemaker")
    life.push("app", "docker", serve=b"docker")
    life.push("app", "oci", media_type=OCI, serve=b"oci")
    on_aws = life.variables["PORTSIDE_RUNTIME_IMAGE"].rpartition("/")[0] + "/app"
    for number, name in enumerate((on_aws, f"{life.address}/app")):
        container = {"Image": f"{name}:docker"}
        sagemaker.create_model(ModelName=f"taken-{number}", PrimaryContainer=container)
        for tag, reason in (
            ("oci", f"{UNSUPPORTED} {name}:oci. {ENSURE}"),
            ("none", f"Requested image {name}:none not found."),
        ):
            asked = {"ModelName": "refused", "PrimaryContainer": {"Image": f"{name}:{tag}"}}
            with pytest.raises(ClientError) as caught:
                sagemaker.create_model(**asked)
            assert caught.value.response["Error"] == {
                "Code": "ValidationException",
                "Message": reason,
            }
    asked = {"ModelName": "refused", "PrimaryContainer": {"Image": "127.0.0.1:1/app:docker"}}
    with pytest.raises(ClientError, match="Using non-ECR image"):
        sagemaker.create_model(**asked)


# --- Other clients -----------------------------------------------------------


def test_the_aws_cli_logs_skopeo_in(life: Life, tmp_path: Path) -> None:
    debian.need("skopeo", packages=("skopeo",))
    aws = program.aws()
    password = run(aws, "ecr", "get-login-password", HOME=str(tmp_path), **life.variables).strip()
    auth = tmp_path / "auth.json"
    subprocess.run(
        ["skopeo", "login", "--tls-verify=false", "--authfile", auth, "-u", "AWS",
         "--password-stdin", life.address],
        input=password, text=True, check=True, capture_output=True,
    )  # fmt: skip
    digest = life.push("app", "by-boto3", serve=b"x", data=os.urandom(MIB))
    plain = ("--authfile", str(auth))
    inspected = run(
        "skopeo", "inspect", *plain, "--tls-verify=false", f"docker://{life.address}/app:by-boto3"
    )
    assert json.loads(inspected)["Digest"] == digest
    assert json.loads(inspected)["Architecture"] == "amd64"

    folder = f"dir:{tmp_path / 'image'}"
    run("skopeo", "copy", *plain, "--src-tls-verify=false",
        f"docker://{life.address}/app:by-boto3", folder)  # fmt: skip
    run("skopeo", "copy", *plain, "--dest-tls-verify=false", "--format", "oci", folder,
        f"docker://{life.address}/team/copied:oci")  # fmt: skip
    run("skopeo", "copy", *plain, "--dest-tls-verify=false", folder,
        f"docker://{life.address}/team/copied:docker")  # fmt: skip
    [details] = life.client("ecr").describe_images(
        repositoryName="team/copied", imageIds=[{"imageTag": "docker"}]
    )["imageDetails"]
    assert details["imageDigest"] == digest
    assert json.loads(run(aws, "ecr", "describe-images", "--repository-name", "team/copied",
                          HOME=str(tmp_path), **life.variables))["imageDetails"]  # fmt: skip

    absent = subprocess.run(
        ["skopeo", "copy", *plain, "--dest-tls-verify=false", folder,
         f"docker://{life.address}/absent:1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "The repository with name 'absent' does not exist in the registry" in absent.stderr
    wrong = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--creds", "AWS:wrong",
         f"docker://{life.address}/app:by-boto3"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert wrong.returncode != 0


def test_podman_pulls_and_pushes(life: Life) -> None:
    if os.getuid() != 0:
        pytest.skip("only root's podman works in every machine that tests run on")
    debian.need("podman", packages=("podman", "runc"))
    life.push("pulled", "1", serve=b"x", data=os.urandom(9 * MIB))
    # Not pytest's folder: podman wants a path of at most 50 characters.
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    storage = ("--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs")
    podman = ("podman", *storage)
    plain = ("--tls-verify=false", "--creds", life.credentials())
    try:
        run(*podman, "pull", *plain, f"{life.address}/pulled:1")
        run(*podman, "tag", f"{life.address}/pulled:1", f"{life.address}/pulled:again")
        run(*podman, "push", *plain, "--format", "v2s2", f"{life.address}/pulled:again")
    finally:
        run(*podman, "system", "reset", "--force")
        shutil.rmtree(folder)
    ids = life.client("ecr").describe_images(
        repositoryName="pulled", imageIds=[{"imageTag": "again"}]
    )
    assert ids["imageDetails"][0]["imageManifestMediaType"] == DOCKER


def test_portside_pushes_what_it_builds(life: Life, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "portside.toml").write_text('name = "built"\n[handler]\nfile = "inference.py"\n')
    (project / "inference.py").write_text("def predict(data, model):\n    return data\n")
    life.client("ecr").create_repository(repositoryName="built")
    auth = base64.b64encode(life.credentials().encode()).decode()
    docker = tmp_path / "docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"auths": {life.address: {"auth": auth}}}))
    command = (
        "build",
        project,
        "--base",
        image_parts.debian("amd64"),
        "--push",
        f"{life.address}/built:1",
    )
    environment = life.portside.environment | {"DOCKER_CONFIG": str(docker)}
    pushing = Portside(environment=environment, data=life.portside.data)
    digest = pushing(*command).out.strip()
    described = life.client("ecr").describe_images(repositoryName="built")["imageDetails"]
    assert [image["imageDigest"] for image in described] == [digest.rpartition("@")[2]]
    assert described[0]["imageManifestMediaType"] == DOCKER


# --- What remains ------------------------------------------------------------


def push_on(life: Life) -> None:
    for _ in range(100):
        life.push_layer("app", os.urandom(4 * MIB))


def test_kill_9_in_the_midst_of_a_push_loses_nothing_that_was_acknowledged(
    portside: Portside,
) -> None:
    portside("local", "start")
    life = Life(portside, portside.client_environment())
    ecr = life.client("ecr")
    ecr.create_repository(repositoryName="app")
    image = life.push("app", "before", serve=b"x")
    data = os.urandom(24 * MIB)
    upload = {"repositoryName": "app"}
    upload["uploadId"] = ecr.initiate_layer_upload(**upload)["uploadId"]
    first = data[: 8 * MIB]
    ecr.upload_layer_part(**upload, partFirstByte=0, partLastByte=8 * MIB - 1, layerPartBlob=first)

    killer = subprocess.Popen(["sh", "-c", f"sleep 0.05; kill -9 {life.pid}"])
    with pytest.raises((ClientError, BotoCoreError)):
        push_on(life)
    assert killer.wait() == 0

    portside("local", "start")
    found = life.client("ecr").describe_images(repositoryName="app")["imageDetails"]
    assert [one["imageDigest"] for one in found] == [image]
    ecr = life.client("ecr")
    second = {"partFirstByte": 8 * MIB, "partLastByte": len(data) - 1}
    ecr.upload_layer_part(**upload, **second, layerPartBlob=data[8 * MIB :])
    done = ecr.complete_layer_upload(**upload, layerDigests=[digest_of(data)])
    assert done["layerDigest"] == digest_of(data)
    kept = {path.name for path in (portside.data / "images" / "blobs" / "sha256").iterdir()}
    assert digest_of(data).removeprefix("sha256:") in kept

    portside("local", "reset", "--yes")
    assert life.client("ecr").describe_repositories()["repositories"] == []
    assert list((portside.data / "images" / "blobs" / "sha256").iterdir()) == []
