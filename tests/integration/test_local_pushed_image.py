"""Images that were pushed to the local ECR, run by endpoints: as processes, and by a real podman.

`portside build` makes and pushes the images of a small project; one without the label that tells of
a port comes from podman itself. Where the package index is out of reach, tests skip.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.container_parts import Local, Podman, own_podman, prepare, wait_for
from tests.integration.image_parts import debian, portside_build

EXAMPLE = Path(__file__).parents[2] / "examples" / "ner"
REGISTRY = "000000000000.dkr.ecr.us-east-1.amazonaws.com"
REALTIME: dict[str, Any] = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
SERVERLESS: dict[str, Any] = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}}

HANDLER = """
import os

def load_model(model_dir):
    return sorted(os.listdir(model_dir))

def attempt(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return "written"

def predict(data, model):
    if data == "eat":
        b"x" * (4 << 30)
    tried = ("/x", "/tmp/x", "/dev/shm/x")
    return {
        "who": "WHO",
        "model": model,
        "mounted": sorted(os.listdir("/opt/ml/model")),
        "user": os.getuid(),
        "pid": os.getpid(),
        "written": {path: attempt(path) for path in tried},
    }
"""

SETTINGS = '[model]\npath = "model"\n\n[handler]\nfile = "inference.py"\n'

# Listens on 8080, whatever it is told.
STUBBORN = """
import os, signal
from http.server import BaseHTTPRequestHandler, HTTPServer

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"true")

    do_POST = do_GET

HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A local SageMaker with an ECR, and what pushes to it."""

    local: Local
    podman: Podman
    folder: Path

    @property
    def address(self) -> str:
        return str(self.local.said()["url"]).removeprefix("http://")

    def log_in(self) -> Path:
        """A folder with docker's settings, in which the password is."""
        said = self.local.client("ecr").get_authorization_token()["authorizationData"][0]
        folder = self.folder / "docker"
        folder.mkdir(exist_ok=True)
        auths = {self.address: {"auth": said["authorizationToken"]}}
        assert base64.b64decode(said["authorizationToken"]).startswith(b"AWS:")
        (folder / "config.json").write_text(json.dumps({"auths": auths}))
        return folder

    def push(self, who: str, *, settings: str = "") -> None:
        """Build and push the project whose handler says `who`."""
        project = self.folder / "project"
        (project / "model").mkdir(parents=True, exist_ok=True)
        (project / "model" / "inside").write_text("weights")
        (project / "inference.py").write_text(HANDLER.replace("WHO", who))
        (project / "portside.toml").write_text(SETTINGS + settings)
        self.build(project, f"echo:{who}")

    def build(self, project: Path, name: str) -> None:
        """`portside build --push` to the local ECR."""
        portside_build(
            project,
            *("--base", debian("amd64"), "--platform", "linux/amd64"),
            *("--push", f"{self.address}/{name}"),
            DOCKER_CONFIG=str(self.log_in()),
        )

    def describe(self, name: str) -> dict[str, str]:
        """The images of an endpoint's variant, and its status."""
        said = self.local.settled(name)
        (variant,) = said["ProductionVariants"]
        (image,) = variant["DeployedImages"]
        return {"status": said["EndpointStatus"], **image}

    def trees(self) -> set[str]:
        return {path.name for path in (self.local.data / "trees").glob("*")}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with own_podman() as podman:
        environment = {
            name: value for name, value in podman.environment.items() if "AWS" not in name
        }
        local = Local(data=tmp_path_factory.mktemp("local"), environment=environment)
        local.start("auto")
        try:
            prepare(local)
            local.client("ecr").create_repository(repositoryName="echo")
            shop = Shop(local=local, podman=podman, folder=tmp_path_factory.mktemp("shop"))
            shop.push("A", settings="\n[image]\nmodel_in_image = true\n")
            shop.push("B")
            local.create("real", image=f"{REGISTRY}/echo:A", **REALTIME)
            yield shop
        finally:
            local.stop()


def test_a_pushed_image_serves_as_a_process(shop: Shop) -> None:
    described = shop.describe("real")
    assert described["status"] == "InService", shop.local.log("real")

    seen = shop.local.invoke("real", '"hello"')

    assert (seen["who"], seen["user"]) == ("A", 0)
    assert (seen["model"], seen["mounted"]) == (["inside"], ["weights"])
    assert set(seen["written"].values()) == {"written"}
    assert described["SpecifiedImage"] == f"{REGISTRY}/echo:A"
    assert described["ResolvedImage"].startswith(f"{REGISTRY}/echo@sha256:")
    assert shop.podman.containers() == set()


def test_on_serverless_it_may_only_compute_and_two_endpoints_share_its_tree(shop: Shop) -> None:
    shop.local.create("small", image=f"{shop.address}/echo:A", **SERVERLESS)
    assert shop.describe("small")["status"] == "InService", shop.local.log("small")

    seen = shop.local.invoke("small", '"hello"')

    assert seen["user"] == 993
    assert seen["written"] == {
        "/x": "Read-only file system",
        "/tmp/x": "written",
        "/dev/shm/x": "No such file or directory",
    }
    assert len(shop.trees()) == 1
    shop.local.client("sagemaker").delete_endpoint(EndpointName="small")


def test_an_update_to_another_image_fails_no_request(shop: Shop) -> None:
    shop.local.settled("real")
    sagemaker = shop.local.client("sagemaker")
    shop.local.configure("other", image=f"{REGISTRY}/echo:B", **REALTIME)
    answers: list[str] = []
    failures: list[Exception] = []
    is_over = threading.Event()

    def load() -> None:
        while not is_over.is_set():
            try:
                answers.append(shop.local.invoke("real", '"hello"')["who"])
            except Exception as error:  # noqa: BLE001  whatever it is, it is a failed request
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    sagemaker.update_endpoint(EndpointName="real", EndpointConfigName="other")
    wait_for(lambda: answers[-4:] == ["B"] * 4)
    wait_for(lambda: shop.describe("real")["SpecifiedImage"].endswith(":B"))
    is_over.set()
    for thread in threads:
        thread.join()

    assert failures == []
    assert shop.local.invoke("real", '"hello"')["model"] == ["weights"]
    assert set(answers) == {"A", "B"}


def test_an_endpoint_outlives_its_image_and_its_instance_comes_back(shop: Shop) -> None:
    shop.local.settled("real")
    before = shop.describe("real")["ResolvedImage"]
    tag = before.partition("@")[2]
    shop.local.client("ecr").batch_delete_image(
        repositoryName="echo", imageIds=[{"imageDigest": tag}]
    )
    seen = shop.local.invoke("real", '"hello"')

    shop.local.stop(signal.SIGKILL)
    shop.local.start("auto")
    assert shop.describe("real")["status"] == "InService", shop.local.log("real")

    again = shop.local.invoke("real", '"hello"')
    assert again["who"] == seen["who"]
    assert shop.describe("real")["ResolvedImage"] == before


def test_kill_9_while_an_image_is_unpacked_harms_nothing(shop: Shop) -> None:
    shop.push("C")
    shop.local.create("killed", image=f"{REGISTRY}/echo:C", **REALTIME)
    wait_for(lambda: any(name.endswith(".partial") for name in shop.trees()))

    shop.local.stop(signal.SIGKILL)
    assert any(name.endswith(".partial") for name in shop.trees())
    shop.local.start("auto")

    wait_for(lambda: shop.local.settled("killed")["EndpointStatus"] == "InService")
    assert shop.local.invoke("killed", '"hello"')["who"] == "C"
    assert not any(name.startswith(".") for name in shop.trees())


def test_the_tree_of_an_image_that_nobody_runs_is_removed(shop: Shop) -> None:
    shop.local.settled("killed")
    digest = shop.describe("killed")["ResolvedImage"].rpartition(":")[2]
    assert digest in shop.trees()

    shop.local.client("sagemaker").delete_endpoint(EndpointName="killed")

    wait_for(lambda: digest not in shop.trees())


def test_an_image_for_another_processor_fails_as_on_sagemaker(shop: Shop) -> None:
    graviton = {"InstanceType": "ml.m6g.large", "InitialInstanceCount": 1}
    shop.local.create("graviton", image=f"{REGISTRY}/echo:A", **graviton)

    described = shop.local.settled("graviton")

    assert described["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in described["FailureReason"]
    said, why, *_ = shop.local.log("graviton")
    assert said == "exec /opt/portside/bin/python: exec format error"
    assert "`portside build --platform linux/arm64`" in why


def test_the_example_answers_as_the_runtime_that_is_installed(shop: Shop) -> None:
    if not (EXAMPLE / "model" / "model.onnx").exists():
        pytest.skip("the example has no model: run `python examples/ner/fetch_model.py`")
    subprocess.run([sys.executable, "-m", "portside", "package", EXAMPLE], check=True)
    artifact = EXAMPLE / ".portside" / "model.tar.gz"
    shop.local.client("s3").upload_file(str(artifact), "models", "ner.tar.gz")
    shop.local.client("ecr").create_repository(repositoryName="ner")
    shop.build(EXAMPLE, "ner:1")
    answers = []

    for name, image in (("ner", "ner:1"), ("installed", "portside-runtime:1")):
        model = {"image": f"{REGISTRY}/{image}", "artifact": "ner.tar.gz"}
        shop.local.create(name, **model, **SERVERLESS)
        assert shop.local.settled(name)["EndpointStatus"] == "InService", shop.local.log(name)
        answers.append(shop.local.invoke(name, '{"inputs": "Ada Lovelace lives in London"}'))
        shop.local.client("sagemaker").delete_endpoint(EndpointName=name)

    assert answers[0] == answers[1]
    assert answers[0][0]["word"] == "ada"


# --- By podman ------------------------------------------------------------------


def test_an_image_that_takes_no_port_is_a_container_pulled_from_the_local_ecr(shop: Shop) -> None:
    mine = f"{shop.address}/stubborn:1"
    entrypoint = json.dumps(["python3", "-c", textwrap.dedent(STUBBORN)])
    shop.local.client("ecr").create_repository(repositoryName="stubborn")
    shop.podman("import", "--change", f"ENTRYPOINT {entrypoint}", str(debian("amd64")), mine)
    auth = f"--authfile={shop.log_in() / 'config.json'}"
    shop.podman("push", "--tls-verify=false", "--format=v2s2", auth, mine)
    shop.podman("rmi", "--all", "--force")

    shop.local.create("stubborn", image=f"{REGISTRY}/stubborn:1", **REALTIME)

    described = shop.describe("stubborn")
    assert described["status"] == "InService", shop.local.log("stubborn")
    assert shop.local.invoke("stubborn", "x") is True
    assert len(shop.podman.containers()) == 1
    assert list((shop.local.data / "containers" / ".pulls").iterdir()) == []
    shop.local.client("sagemaker").delete_endpoint(EndpointName="stubborn")
    wait_for(lambda: shop.podman.containers() == set())


def test_a_pushed_image_serves_as_a_container(shop: Shop) -> None:
    shop.local.settled("real")
    shop.local.stop()
    shop.local.start("podman")
    shop.local.create("contained", image=f"{REGISTRY}/echo:A", **SERVERLESS)

    described = shop.describe("contained")
    assert described["status"] == "InService", shop.local.log("contained")
    seen = shop.local.invoke("contained", '"hello"')

    assert (seen["who"], seen["user"]) == ("A", 993)
    assert (seen["model"], seen["mounted"]) == (["inside"], ["weights"])
    assert seen["written"]["/x"] == "Read-only file system"
    assert seen["written"]["/dev/shm/x"] == "No such file or directory"
    assert len(shop.podman.containers()) >= 1
