"""Instances as containers of a real podman: image, limits, confinement, logs, leftovers.

podman and runc are installed with apt where they are missing; storage, network and settings
are the test's own. The image is made from Debian's packages, so no registry is asked.
"""

from __future__ import annotations

import json
import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.integration.container_parts import Local, Podman, own_podman, prepare, run, wait_for

BASE = Path(__file__).parents[2] / ".portside" / "images" / "bookworm-python3.tar"
REPOSITORY = "000000000000.dkr.ecr.us-east-1.amazonaws.com/echo"
IMAGE = f"{REPOSITORY}:1"
MULTI_LINE = 'one\n"two" = 3\n'
ENVIRONMENT = {"PLAIN": " a=b ", "LINES": MULTI_LINE, "QUOTED": '"x"'}

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
    """podman with an image that answers."""
    with own_podman() as mine:
        entrypoint = json.dumps(["python3", "-c", textwrap.dedent(SERVER)])
        mine("import", "--change", f"ENTRYPOINT {entrypoint}", str(base()), IMAGE)
        yield mine


@pytest.fixture(scope="module")
def local(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """One with a role and an artifact, and the endpoints `real` and `small` on their way."""
    environment = {name: value for name, value in podman.environment.items() if "AWS" not in name}
    local = Local(data=tmp_path_factory.mktemp("local"), environment=environment)
    local.start()
    try:
        prepare(local)
        local.create(
            "real",
            image=IMAGE,
            environment=ENVIRONMENT,
            InstanceType="ml.m5.large",
            InitialInstanceCount=1,
        )
        serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
        local.create("small", image=IMAGE, environment=ENVIRONMENT, ServerlessConfig=serverless)
        yield local
    finally:
        local.stop()


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


def test_an_image_that_nobody_holds_is_no_model_s(local: Local) -> None:
    with pytest.raises(ClientError, match=f"{REPOSITORY}:2 not found"):
        local.create(
            "absent", image=f"{REPOSITORY}:2", InstanceType="ml.m5.large", InitialInstanceCount=1
        )


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
