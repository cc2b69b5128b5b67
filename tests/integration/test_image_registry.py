"""`portside build` into a real registry, and the image really run.

A base of Debian's packages, wheels by `uv`, Debian's `docker-registry` with a password, `skopeo` to
look at what was pushed, `podman` to run it as SageMaker would, on serverless too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.integration.container_parts import own_podman
from tests.integration.image_parts import (
    Asked,
    Built,
    RealRegistry,
    Says,
    ScriptedRegistry,
    debian,
    fetch,
    need,
    portside_build,
    real_registry,
    run,
    wait_for,
)

PROGRAM = """
import os

import numpy
import onnxruntime

def load_model(model_dir):
    return [str(model_dir), *os.listdir(model_dir)]

def predict(data, model):
    return {
        "total": int(numpy.sum(data)),
        "uid": os.getuid(),
        "pid": os.getpid(),
        "program": __file__,
        "engine": onnxruntime.__name__,
        "files": model,
    }
"""
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with code, and the registry that its images go to."""

    folder: Path
    registry: RealRegistry

    def build(self, *options: str | Path, architecture: str = "amd64") -> Built:
        where = ("--base", debian(architecture), "--platform", f"linux/{architecture}")
        return portside_build(
            self.folder, *where, *options, DOCKER_CONFIG=str(self.registry.auth_file.parent)
        )

    def push(self, name: str, *options: str | Path, architecture: str = "amd64") -> Built:
        target = f"{self.registry.host}/{name}"
        return self.build("--push", target, *options, architecture=architecture)

    def inspect(self, reference: str, *options: str) -> Any:
        access = ("--tls-verify=false", "--authfile", self.registry.auth_file)
        return json.loads(run("skopeo", "inspect", *options, *access, f"docker://{reference}"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    need("skopeo")
    folder = tmp_path_factory.mktemp("project") / "ner"
    folder.mkdir()
    (folder / "inference.py").write_text(PROGRAM)
    (folder / "model").mkdir()
    (folder / "model" / "weights.bin").write_bytes(bytes(1000))
    with real_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield Project(folder=folder, registry=registry)


@pytest.fixture(scope="module")
def pushed(project: Project) -> str:
    """The image's name by its digest."""
    return project.push("team/ner:1").result


# --- What was pushed ----------------------------------------------------------------------


def test_the_registry_has_what_sagemaker_takes(project: Project, pushed: str) -> None:
    manifest = project.inspect(pushed, "--raw")
    by_tag = project.inspect(f"{project.registry.host}/team/ner:1")

    assert manifest["mediaType"] == DOCKER
    assert by_tag["Digest"] == pushed.partition("@")[2]
    assert (by_tag["Os"], by_tag["Architecture"]) == ("linux", "amd64")


def test_a_second_push_sends_nothing(project: Project, pushed: str) -> None:
    before = len(project.registry.requests("POST"))

    again = project.push("team/ner:1")

    assert again.result == pushed
    assert "0 B sent" in again.said
    assert len(project.registry.requests("POST")) == before


def test_a_change_of_the_code_sends_the_code(project: Project, pushed: str) -> None:
    program = project.folder / "inference.py"
    program.write_text(f"{PROGRAM}\n# changed\n")
    try:
        changed = project.push("team/ner:2", "--json")
    finally:
        program.write_text(PROGRAM)

    made = json.loads(changed.result)
    assert made["digest"] != pushed.partition("@")[2]
    assert [layer["kind"] for layer in made["layers"] if not layer["unchanged"]] == ["code"]
    assert sum(layer["packed_bytes"] for layer in made["layers"][-1:]) < 200_000
    assert "3 of 5 blobs were there already" in changed.said


def test_another_folder_at_another_time_gives_the_same_digest(
    project: Project, pushed: str, tmp_path: Path
) -> None:
    folder = tmp_path / "ner"
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns(".portside"))
    os.utime(folder / "inference.py", (1, 1))
    (folder / "inference.py").chmod(0o600)

    assert portside_build(folder, "--base", debian("amd64")).result == pushed.partition("@")[2]


def test_a_base_in_the_registry_is_not_sent_again(project: Project, pushed: str) -> None:
    config = {"DOCKER_CONFIG": str(project.registry.auth_file.parent)}
    target = f"{project.registry.host}/team/more:1"

    built = portside_build(project.folder, "--base", pushed, "--push", target, **config)

    # All its layers are the base's, and come from its repository; the config is new.
    sent = [path for path in project.registry.requests("PUT") if "/team/more/blobs/" in path]
    mounted = {path for path in project.registry.requests("POST") if "mount=" in path}
    assert len(sent) == 1
    assert len(mounted) == 4
    assert len(project.inspect(built.result)["Layers"]) == 7


def test_arm64_is_built_on_any_machine(project: Project) -> None:
    built = project.push("team/arm:1", architecture="arm64")

    assert project.inspect(built.result)["Architecture"] == "arm64"


def test_without_a_login_the_push_says_how(project: Project, tmp_path: Path) -> None:
    target = f"{project.registry.host}/team/ner:3"
    strangers = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}

    refused = portside_build(
        project.folder, "--base", debian("amd64"), "--push", target, exit_code=1, **strangers
    )

    assert refused.result == ""
    assert f"hint: log in: `docker login {project.registry.host}`" in refused.said


def test_a_push_that_was_killed_goes_on_where_it_was(project: Project, pushed: str) -> None:
    stored: dict[str, int] = {}
    process: list[subprocess.Popen[str]] = []

    def answer(asked: Asked) -> Says:
        digest = unquote(asked.path).rpartition("sha256:")[2]
        match asked.method:
            case "HEAD":
                size = str(stored.get(digest, 0))
                return Says(
                    status=200 if digest in stored else 404, headers={"Content-Length": size}
                )
            case "POST":
                return Says(status=202, headers={"Location": "/upload"})
            case "PUT" if len(stored) == 3 and process[0].poll() is None:
                process[0].kill()
                return Says(hangs_up=True)
        stored[digest] = len(asked.body)
        return Says(status=201)

    with ScriptedRegistry(answer) as registry:
        target = ("--push", f"{registry.host}/team/ner:1")
        command = (sys.executable, "-m", "portside", "build", project.folder, *target)
        process.append(subprocess.Popen([*command, "--base", debian("amd64")], text=True))
        assert process[0].wait() == -signal.SIGKILL
        there, begun = set(stored), len(registry.asked)

        again = project.build(*target)

        sent = [call.path for call in registry.asked[begun:] if call.method == "PUT"]
    assert again.result.endswith(pushed.partition("@")[2])
    assert "3 of 5 blobs were there already" in again.said
    assert not any(digest in path for path in sent for digest in there)
    assert "/manifests/1" in sent[-1]


# --- As files -----------------------------------------------------------------------------


def test_files_are_what_other_tools_read(project: Project, pushed: str, tmp_path: Path) -> None:
    oci = project.build("--output", tmp_path / "oci").result
    docker = project.build("--output", tmp_path / "image.tar", "--format", "docker").result

    layout = json.loads(run("skopeo", "inspect", f"oci:{tmp_path}/oci"))
    archive = json.loads(run("skopeo", "inspect", f"docker-archive:{tmp_path}/image.tar"))
    assert layout["Digest"] == oci
    assert docker == pushed.partition("@")[2]
    assert len(archive["Layers"]) == len(layout["Layers"])
    bill = json.loads((tmp_path / "oci.sbom.spdx.json").read_text())
    assert "onnxruntime" in {package["name"] for package in bill["packages"]}


def test_explain_draws_what_takes_the_room(project: Project, pushed: str) -> None:
    drawn = project.build("--explain")

    assert drawn.result == pushed.partition("@")[2]
    assert "onnxruntime" in drawn.said
    assert "└── code" in drawn.said


# --- It runs ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Podman:
    environment: dict[str, str]
    access: tuple[str, ...]

    def __call__(self, *arguments: str) -> str:
        return run("podman", *arguments, **self.environment).strip()

    def ask(self, image: str, *options: str) -> tuple[str, Any]:
        """Start an instance as SageMaker does; its container, and what it answers."""
        port = ("--publish", "127.0.0.1::8080")
        container = self("run", "--detach", *port, *options, image, "serve")
        address = f"http://{self('port', container, '8080')}"
        wait_for(lambda: is_healthy(address))
        return container, fetch(f"{address}/invocations", b"[1, 2, 3]")


@pytest.fixture(scope="module")
def podman(project: Project, pushed: str) -> Iterator[Podman]:
    """podman with the image, pulled from the registry, and nothing of the user's."""
    access = ("--tls-verify=false", "--authfile", str(project.registry.auth_file))
    with own_podman() as own:
        mine = Podman(environment=own.environment, access=access)
        mine("pull", *access, pushed)
        yield mine


AS_ROOT = ("--memory", "1g")
AS_SERVERLESS = (
    *AS_ROOT,
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:rw"),
    *("--ipc", "none", "--user", "993:990", "--cap-drop", "all"),
)


@pytest.mark.parametrize(("options", "uid"), [(AS_ROOT, 0), (AS_SERVERLESS, 993)])
def test_it_answers_as_sagemaker_would_start_it(
    podman: Podman, project: Project, pushed: str, options: tuple[str, ...], uid: int
) -> None:
    model = f"{project.folder / 'model'}:/opt/ml/model:ro"

    container, answer = podman.ask(pushed, *options, "--volume", model)

    assert answer == {
        "total": 6,
        "uid": uid,
        "pid": 1,
        "program": "/opt/portside/code/inference.py",
        "engine": "onnxruntime",
        "files": ["/opt/ml/model", "weights.bin"],
    }
    podman("stop", "--time", "10", container)
    state = json.loads(podman("inspect", "--format", "{{json .State}}", container))
    assert state["ExitCode"] == 0


def test_a_model_in_the_image_needs_no_artifact(podman: Podman, project: Project) -> None:
    image = project.push("team/ner:whole", "--model-in-image").result
    podman("pull", *podman.access, image)

    _, answer = podman.ask(image, *AS_SERVERLESS)

    assert answer["files"] == ["/opt/portside/model", "weights.bin"]


def test_python_there_is_an_environment(podman: Podman, pushed: str) -> None:
    said = podman(
        "run", "--rm", "--entrypoint", "python", pushed, "-c", "import sys; print(sys.prefix)"
    )
    served = podman("run", "--rm", "--entrypoint", "serve", pushed, "--help")

    assert said == "/opt/portside"
    assert "--model-dir" in served


def is_healthy(address: str) -> bool:
    try:
        fetch(f"{address}/ping")
    except OSError:
        return False
    return True
