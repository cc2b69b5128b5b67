"""`build = "dockerfile"` by a real podman, into a real registry, and the image really run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.container_parts import own_podman
from tests.integration.image_parts import (
    Built,
    RealRegistry,
    debian,
    fetch,
    need,
    portside_build,
    real_registry,
    run,
    wait_for,
)

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"

PROGRAM = """
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"arguments": sys.argv[1:], "files": sorted(os.listdir())}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
DOCKERFILE = """
FROM localhost/base:{architecture}
WORKDIR /app
COPY . .
ENTRYPOINT ["python3", "app.py"]
"""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with a Dockerfile, the podman that builds it, the registry that it goes to."""

    folder: Path
    registry: RealRegistry
    environment: dict[str, str] = field(repr=False)

    def build(self, *options: str | Path, exit_code: int = 0) -> Built:
        return portside_build(self.folder, *options, exit_code=exit_code, **self.environment)

    def podman(self, *arguments: str) -> str:
        return run("podman", *arguments, **self.environment).strip()

    def blobs(self) -> set[str]:
        blobs = self.folder / ".portside" / "image" / "blobs" / "sha256"
        return {path.name for path in blobs.iterdir()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    need("skopeo")
    folder = tmp_path_factory.mktemp("project") / "ner"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(bytes(1000))
    (folder / "app.py").write_text(PROGRAM)
    (folder / "Dockerfile").write_text(DOCKERFILE.format(architecture="amd64"))
    (folder / ".dockerignore").write_text("model\n")
    (folder / "portside.toml").write_text('[image]\nbuild = "dockerfile"\n')
    with own_podman() as podman, real_registry(tmp_path_factory.mktemp("registry")) as registry:
        environment = {
            **podman.environment,
            "DOCKER_CONFIG": str(registry.auth_file.parent),
            "DOCKER_HOST": "unix:///nowhere",  # a docker that is there has not the base
        }
        for architecture in ("amd64", "arm64"):
            name = f"localhost/base:{architecture}"
            podman("import", "--arch", architecture, str(debian(architecture)), name)
        yield Project(folder=folder, registry=registry, environment=environment)


@pytest.fixture(scope="module")
def pushed(project: Project) -> Built:
    return project.build("--push", f"{project.registry.host}/team/ner:1")


def test_the_registry_has_what_sagemaker_takes(project: Project, pushed: Built) -> None:
    access = ("--tls-verify=false", "--authfile", project.registry.auth_file)
    manifest = json.loads(run("skopeo", "inspect", "--raw", *access, f"docker://{pushed.result}"))

    assert manifest["mediaType"] == DOCKER
    assert {layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]} == {"gzip"}


def test_it_starts_with_serve_and_holds_what_was_copied(project: Project, pushed: Built) -> None:
    access = ("--tls-verify=false", "--authfile", str(project.registry.auth_file))
    project.podman("pull", *access, pushed.result)
    port = ("--publish", "127.0.0.1::8080")
    container = project.podman("run", "--detach", *port, pushed.result, "serve")
    address = f"http://{project.podman('port', container, '8080')}"
    said: list[Any] = []

    def answers() -> bool:
        try:
            said.append(fetch(address))
        except OSError:
            return False
        return True

    wait_for(answers)

    assert said[0]["arguments"] == ["serve"]
    # Neither the model, as `.dockerignore` says, nor the cache of images.
    expected = [".dockerignore", "Dockerfile", "app.py", "portside.toml"]
    assert said[0]["files"] == expected


def test_an_unchanged_project_makes_and_sends_nothing(project: Project, pushed: Built) -> None:
    again = project.build("--push", f"{project.registry.host}/team/ner:1")

    assert again.result == pushed.result
    assert "nothing made anew" in again.said
    assert "0 B sent" in again.said


def test_what_the_engine_says_is_heard_and_a_failure_is_told(
    project: Project, pushed: Built
) -> None:
    before = project.blobs()
    dockerfile = project.folder / "Dockerfile"
    given = dockerfile.read_text()
    dockerfile.write_text(given.replace("COPY . .", "COPY nowhere ."))
    try:
        failed = project.build(exit_code=1)
    finally:
        dockerfile.write_text(given)

    assert "STEP 1/4" in pushed.said
    assert f"error: `podman` could not build `{dockerfile}` for linux/amd64:" in failed.said
    assert "nowhere" in failed.said.partition("error:")[2]
    assert f"hint: mend `{dockerfile}`" in failed.said
    assert project.blobs() == before


def test_another_platform_is_built_where_nothing_is_run(project: Project, tmp_path: Path) -> None:
    dockerfile = project.folder / "Dockerfile"
    given = dockerfile.read_text()
    dockerfile.write_text(DOCKERFILE.format(architecture="arm64"))
    try:
        project.build("--platform", "linux/arm64", "--output", tmp_path / "oci")
        refused = project.build("--platform", "linux/amd64", exit_code=1)
    finally:
        dockerfile.write_text(given)

    assert json.loads(run("skopeo", "inspect", f"oci:{tmp_path}/oci"))["Architecture"] == "arm64"
    assert "linux/amd64" in refused.said.partition("error:")[2]


def test_without_an_engine_the_way_on_is_told(project: Project) -> None:
    environment = {**project.environment, "CONTAINERS_STORAGE_CONF": "/nowhere/storage.conf"}

    refused = portside_build(project.folder, exit_code=2, **environment)

    assert "error: could not find an engine to build the Dockerfile with" in refused.said
    assert 'or remove `build = "dockerfile"` from `[image]`' in refused.said
