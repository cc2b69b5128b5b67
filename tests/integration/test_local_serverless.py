"""Serverless endpoints with real instances: cold starts, throttling, memory, confinement, death."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from portside.local.data_folder import DataFolder, find_running, read_keys
from portside.local.instance import confinement
from tests.integration.test_local_edge import Local, end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/portside-runtime:1"
IDLE_TIMEOUT_S = "1.5"
MODEL = b"""
import multiprocessing, os, tempfile, time

def load_model(model_dir):
    return model_dir

def predict(data, model):
    if "sleep" in data:
        time.sleep(data["sleep"])
    if "allocate_mib" in data:
        held = [b"x" * 2**20 for _ in range(data["allocate_mib"])]
        time.sleep(5)
    if "confinement" in data:
        return confinement(model)
    return os.getpid()

def confinement(model):
    tried = {
        "tree": lambda: open(os.path.expanduser("/usr/written"), "w"),
        "model": lambda: open(os.path.join(model, "written"), "w"),
        "folder": lambda: open("written", "w"),
        "temp": lambda: tempfile.TemporaryFile().write(b"x"),
        "tmp": lambda: open("/tmp/written", "w").write("x"),
        "shm": lambda: open("/dev/shm/written", "w"),
        "semaphore": lambda: multiprocessing.Lock(),
    }
    return {"uid": os.getuid()} | {name: outcome(each) for name, each in tried.items()}

def outcome(act):
    try:
        act()
    except OSError as error:
        return error.strerror
    return "done"
"""


class Served:
    """A local SageMaker with the endpoint `probe`, of two invocations at a time."""

    def __init__(self, local: Local) -> None:
        self.local = local
        self.runtime = local.client(
            "sagemaker-runtime", config=Config(retries={"total_max_attempts": 1})
        )
        self.logs = local.client("logs")

    def deploy(self) -> None:
        s3, sagemaker = self.local.client("s3"), self.local.client("sagemaker")
        s3.create_bucket(Bucket="models")
        s3.put_object(Bucket="models", Key="model.tar.gz", Body=_artifact())
        container = {"Image": IMAGE, "ModelDataUrl": "s3://models/model.tar.gz"}
        role = "arn:aws:iam::000000000000:role/any"
        sagemaker.create_model(ModelName="probe", PrimaryContainer=container, ExecutionRoleArn=role)
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": "probe",
            "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2},
        }
        sagemaker.create_endpoint_config(EndpointConfigName="probe", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName="probe", EndpointConfigName="probe")
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName="probe", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
        )

    def invoke(self, **data: Any) -> Any:
        answer = self.runtime.invoke_endpoint(
            EndpointName="probe", ContentType="application/json", Body=json.dumps(data)
        )
        return json.load(answer["Body"])

    def census(self) -> Any:
        """What runs of the variant."""
        request = AWSRequest(method="GET", url=f"{self.local.url}/_portside/endpoints")
        keys = read_keys(self.local.folder)
        credentials = Credentials(keys.access_key_id, keys.secret_access_key)
        SigV4Auth(credentials, "sagemaker", "us-east-1").add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        return json.loads(answer.text)["endpoints"][0]["variants"][0]

    def shown(self) -> Any:
        """What the command line shows of the endpoint."""
        command = [sys.executable, "-m", "portside", "local", "status", "--json", "--data"]
        done = subprocess.run(
            [*command, self.local.folder.path], capture_output=True, check=True, timeout=30
        )
        return json.loads(done.stdout)["endpoints"][0]

    def streams(self) -> set[str]:
        found = self.logs.describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/probe")
        return {stream["logStreamName"] for stream in found["logStreams"]}

    def output(self) -> str:
        found = self.logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/probe")
        return "\n".join(event["message"] for event in found["events"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("local")
    command = [sys.executable, "-m", "portside.local", "--data", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--iam", "off", "--idle-timeout-s", IDLE_TIMEOUT_S], stderr=subprocess.PIPE
    )
    local = Local(DataFolder(folder), process)
    try:
        _until(lambda: find_running(local.folder) is not None)
        served = Served(local)
        served.deploy()
        yield served
    finally:
        end(local)


def test_after_the_idle_time_an_invocation_waits_for_another_instance(served: Served) -> None:
    first = served.invoke()
    streams = served.streams()
    warm_s = _timed(served.invoke)
    _until(lambda: not psutil.pid_exists(first))

    cold_s = _timed(served.invoke)

    second = served.invoke()
    assert second != first
    assert cold_s > 5 * warm_s
    assert len(served.streams() - streams) == 1


def test_more_than_the_max_concurrency_is_throttled(served: Served) -> None:
    with ThreadPoolExecutor() as threads:
        held = [threads.submit(served.invoke, sleep=1.5) for _ in range(2)]
        time.sleep(0.3)

        begun = time.monotonic()
        with pytest.raises(ClientError) as refused:
            served.invoke()

        assert refused.value.response["Error"]["Code"] == "ThrottlingException"
        assert time.monotonic() - begun < 0.5
        assert len({each.result() for each in held}) == 2


def test_an_instance_that_takes_too_much_memory_dies_and_the_next_invocation_is_answered(
    served: Served,
) -> None:
    pid = served.invoke()

    with pytest.raises(ClientError) as failed:
        served.invoke(allocate_mib=1100)

    assert failed.value.response["Error"]["Code"] == "ModelError"
    _until(lambda: not psutil.pid_exists(pid))
    assert served.invoke() != pid
    assert "exited with code 137: it went over its memory limit of 1024 MB" in served.output()


def test_it_is_confined_as_far_as_this_machine_allows(served: Served) -> None:
    found = served.invoke(confinement=True)

    if "Portside could not" in served.output():
        pytest.skip(f"this machine does not allow it: {served.output()}")
    assert found == {
        "uid": confinement.USER_ID,
        "tree": "Read-only file system",
        "model": "Read-only file system",
        "folder": "Read-only file system",
        "temp": "done",
        "tmp": "done",
        "shm": "Permission denied",
        "semaphore": found["semaphore"],
    }
    assert found["semaphore"] != "done"
    assert not os.path.exists("/tmp/written")  # noqa: PTH110  as the model wrote it


def test_the_status_shows_cold_and_warm_invocations(served: Served) -> None:
    before = served.shown()
    _until(lambda: served.census()["instances"]["warm"] == 0)

    served.invoke()
    served.invoke()

    after = served.shown()
    assert after["name"] == "probe"
    assert after["invocations"]["cold"] == before["invocations"]["cold"] + 1
    assert after["invocations"]["warm"] == before["invocations"]["warm"] + 1


def test_kill_9_leaves_no_instance(served: Served) -> None:
    served.invoke()
    children = psutil.Process(served.local.process.pid).children(recursive=True)
    assert any("portside.serving" in " ".join(child.cmdline()) for child in children)

    os.kill(served.local.process.pid, signal.SIGKILL)
    served.local.process.wait()

    _, alive = psutil.wait_procs(children, timeout=5)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []


def _artifact() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(MODEL)
        tar.addfile(member, io.BytesIO(MODEL))
    return out.getvalue()


def _timed(act: Callable[[], object]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
