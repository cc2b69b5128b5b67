"""Endpoints of the local SageMaker with real instances: processes, ports, signals, files.

The object store is a folder here; requests go to the operations, past HTTP and
signatures, which have tests of their own.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import sys
import tarfile
import textwrap
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from portside.local.artifact_cache import ObjectMissingError
from portside.local.clock import SystemClock
from portside.local.controller import Controller
from portside.local.fleet import DEFAULT_HEALTH_CHECK
from portside.local.instance import HealthCheck
from portside.local.instance_client import InstanceClient
from portside.local.log_store import LogStore
from portside.local.process import ProcessLauncher
from portside.local.protocol.call import Call
from portside.local.protocol.fault import Fault
from portside.local.services import operations
from portside.local.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from portside.local.protocol.call import Value

ACCOUNT, REGION = "000000000000", "us-east-1"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/portside-runtime:1"
LOG_GROUP = "/aws/sagemaker/Endpoints/ner"

GREETER = """
def load_model(model_dir):
    print("loading from", model_dir)
    return {greeting!r}

def predict(data, model):
    if data == "pid":
        import os
        return os.getpid()
    if data == "slow":
        import time
        time.sleep(1)
    if data == "bad":
        raise ValueError("bad data")
    return model
"""


class FolderObjects:
    """An object store in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def exists(self, bucket: str, key: str) -> bool:
        return (self._folder / bucket / key).is_file()

    async def download(self, bucket: str, key: str, *, to: Path) -> None:
        if not await self.exists(bucket, key):
            raise ObjectMissingError(key)
        await asyncio.to_thread(shutil.copyfile, self._folder / bucket / key, to)


@dataclass
class LocalSageMaker:
    """One life of the local SageMaker over a data folder."""

    folder: Path
    table: dict[str, dict[str, Any]]
    controller: Controller

    async def call(self, operation: str, /, **params: Value) -> dict[str, Value]:
        service = "sagemaker-runtime" if operation == "InvokeEndpoint" else "sagemaker"
        service = "logs" if "Log" in operation else service
        call = Call(
            service=service,
            operation=operation,
            params=params,
            account=ACCOUNT,
            region=REGION,
            request_id="request-1",
        )
        output: dict[str, Value] = await self.table[service][operation](call)
        return output

    def put(self, key: str, code: str) -> str:
        """Store a `model.tar.gz` with this `code/inference.py`; its address."""
        path = self.folder / "objects" / "bucket" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        content = textwrap.dedent(code).encode()
        with tarfile.open(path, "w:gz") as tar:
            member = tarfile.TarInfo("code/inference.py")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        return f"s3://bucket/{key}"

    async def create(self, url: str) -> None:
        await self.configure(url, config="one")
        await self.call("CreateEndpoint", EndpointName="ner", EndpointConfigName="one")

    async def configure(self, url: str, *, config: str, instance_count: int = 1) -> None:
        await self.call(
            "CreateModel",
            ModelName=config,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url},
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": config,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": instance_count,
        }
        await self.call(
            "CreateEndpointConfig", EndpointConfigName=config, ProductionVariants=[variant]
        )

    async def status(self) -> str:
        described = await self.call("DescribeEndpoint", EndpointName="ner")
        return str(described["EndpointStatus"])

    async def at_rest(self) -> dict[str, Value]:
        """The endpoint once it is InService or Failed."""

        async def is_at_rest() -> bool:
            return await self.status() in {"InService", "Failed"}

        await until(is_at_rest)
        return await self.call("DescribeEndpoint", EndpointName="ner")

    async def gone(self) -> None:
        async def is_gone() -> bool:
            try:
                return await self.status() == "gone"
            except Fault as fault:
                return fault.code == "ValidationException"

        await until(is_gone)

    async def invoke(self, data: str) -> str:
        output = await self.call(
            "InvokeEndpoint",
            EndpointName="ner",
            ContentType="application/json",
            Body=f'"{data}"'.encode(),
        )
        return bytes(output["Body"]).decode().strip().strip('"')

    async def log_text(self) -> str:
        found = await self.call("FilterLogEvents", logGroupName=LOG_GROUP)
        return "\n".join(event["message"] for event in found["events"])


@asynccontextmanager
async def running(
    folder: Path,
    *,
    command: tuple[str, ...] | None = None,
    health_check: HealthCheck = DEFAULT_HEALTH_CHECK,
) -> AsyncIterator[LocalSageMaker]:
    clock, client = SystemClock(), InstanceClient()
    store = Store.open(folder / "state.sqlite3")
    logs = LogStore(folder / "logs")
    objects = FolderObjects(folder / "objects")
    chosen: dict[str, Any] = {} if command is None else {"command": command}
    controller = Controller(
        store=store,
        launcher=ProcessLauncher(folder=folder / "instances", logs=logs, clock=clock, **chosen),
        objects=objects,
        pinger=client,
        models_folder=folder / "models",
        clock=clock,
        health_check=health_check,
    )
    table = operations(
        store=store, controller=controller, objects=objects, logs=logs, client=client, clock=clock
    )
    await controller.start()
    try:
        yield LocalSageMaker(folder=folder, table=table, controller=controller)
    finally:
        await controller.stop()
        await client.close()
        store.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)


async def until_ended(process: psutil.Process) -> None:
    async def has_ended() -> bool:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    await until(has_ended)


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]


async def test_an_endpoint_lives_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        assert await local.status() == "Creating"

        described = await local.at_rest()
        assert described["EndpointStatus"] == "InService", await local.log_text()
        assert await local.invoke("x") == "hello"
        assert "loading from" in await local.log_text()

        await local.call("DeleteEndpoint", EndpointName="ner")
        assert await local.status() == "Deleting"
        await local.gone()

        assert children() == []
        assert list((tmp_path / "instances").iterdir()) == []
        assert [path for path in (tmp_path / "models").iterdir() if path.name != "empty"] == []
        assert "loading from" in await local.log_text()  # logs outlive their endpoint


async def test_a_killed_instance_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        await local.at_rest()
        pid = int(await local.invoke("pid"))

        os.kill(pid, signal.SIGKILL)

        async def answers() -> bool:
            seen.add(await _answer_or_code(local))
            return "hello" in seen

        seen: set[str] = set()
        await until(answers)
        assert seen <= {"hello", "ServiceUnavailable", "ModelError"}
        assert int(await local.invoke("pid")) != pid
        assert await local.status() == "InService"


async def test_an_instance_that_hangs_is_replaced(tmp_path: Path) -> None:
    check = HealthCheck(period_s=0.1, failures=1)
    async with running(tmp_path, health_check=check) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        await local.at_rest()
        pid = int(await local.invoke("pid"))

        os.kill(pid, signal.SIGSTOP)
        await until_ended(psutil.Process(pid))

        async def answers() -> bool:
            return await _answer_or_code(local) == "hello"

        await until(answers)
        assert int(await local.invoke("pid")) != pid


async def _answer_or_code(local: LocalSageMaker) -> str:
    try:
        return await local.invoke("x")
    except Fault as fault:
        return fault.code


async def test_a_handler_that_cannot_load_fails_the_endpoint_and_its_log_says_why(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as local:
        code = """
        def load_model(model_dir):
            raise RuntimeError("no such weights")

        def predict(data, model):
            return data
        """
        await local.create(local.put("model.tar.gz", code))

        described = await local.at_rest()

        assert described["EndpointStatus"] == "Failed"
        assert described["FailureReason"] == (
            "The primary container for production variant AllTraffic did not pass the ping health"
            " check. Please check CloudWatch logs for this endpoint."
        )
        log = await local.log_text()
        assert "Traceback" in log
        assert "RuntimeError: no such weights" in log
        assert children() == []


async def test_what_the_model_refuses_reaches_the_caller_as_a_model_error(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        await local.at_rest()

        with pytest.raises(Fault) as caught:
            await local.invoke("bad")

        assert (caught.value.code, caught.value.status) == ("ModelError", 424)
        assert caught.value.fields["OriginalStatusCode"] == 500
        assert str(caught.value.message).startswith(
            'Received server error (500) from primary with message "'
        )
        assert "ValueError: bad data" in await local.log_text()


async def test_endpoints_come_back_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", GREETER.format(greeting="hello")))
        await local.at_rest()
        (tmp_path / "objects" / "bucket" / "model.tar.gz").unlink()  # what runs, keeps

    assert children() == []

    async with running(tmp_path) as local:
        assert await local.status() == "SystemUpdating"
        await local.at_rest()
        assert await local.invoke("x") == "hello"


async def test_an_update_moves_the_traffic_and_fails_no_request(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("old.tar.gz", GREETER.format(greeting="old")))
        await local.at_rest()
        await local.configure(
            local.put("new.tar.gz", GREETER.format(greeting="new")), config="two", instance_count=2
        )
        answers: list[str] = []
        slow = asyncio.create_task(local.invoke("slow"))

        await local.call("UpdateEndpoint", EndpointName="ner", EndpointConfigName="two")
        while await local.status() == "Updating":
            answers.append(await local.invoke("x"))

        assert await slow == "old"
        assert await local.invoke("x") == "new"
        assert set(answers) <= {"old", "new"}
        assert answers == sorted(answers, key="old new".index)  # never back again
        described = await local.call("DescribeEndpoint", EndpointName="ner")
        assert described["EndpointConfigName"] == "two"
        assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        assert len(children()) == 2


async def test_an_update_that_fails_keeps_the_old_deployment(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("old.tar.gz", GREETER.format(greeting="old")))
        await local.at_rest()
        await local.configure(local.put("new.tar.gz", "raise SystemExit(3)"), config="two")

        await local.call("UpdateEndpoint", EndpointName="ner", EndpointConfigName="two")
        described = await local.at_rest()

        assert described["EndpointStatus"] == "InService"
        assert described["EndpointConfigName"] == "one"
        assert "did not pass the ping health check" in described["FailureReason"]
        assert await local.invoke("x") == "old"
        assert len(children()) == 1


FORKER = """
import os
import subprocess

child = subprocess.Popen(["sleep", "600"])

def load_model(model_dir):
    return None

def predict(data, model):
    return f"{os.getpid()} {child.pid}"
"""


async def test_what_an_instance_started_ends_with_it(tmp_path: Path) -> None:
    async with running(tmp_path) as local:
        await local.create(local.put("model.tar.gz", FORKER))
        await local.at_rest()
        grandchild = psutil.Process(int((await local.invoke("x")).split()[1]))

        await local.call("DeleteEndpoint", EndpointName="ner")
        await local.gone()

        await until_ended(grandchild)


GATEWAY = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_local_state import FORKER, running

async def main():
    async with running(Path({folder!r})) as local:
        await local.create(local.put("model.tar.gz", FORKER))
        await local.at_rest()
        print(await local.invoke("x"), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are ended at the next start")
async def test_instances_die_with_the_local_sagemaker_and_endpoints_come_back(
    tmp_path: Path,
) -> None:
    script = GATEWAY.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert gateway.stdout is not None
    instance, grandchild = map(psutil.Process, map(int, (await gateway.stdout.readline()).split()))

    gateway.kill()
    await gateway.wait()

    await until_ended(instance)  # at once; what it has started, at the next start
    async with running(tmp_path) as local:
        await until_ended(grandchild)
        assert await local.status() == "SystemUpdating"
        await local.at_rest()
        assert await local.invoke("x") != f"{instance.pid} {grandchild.pid}"
