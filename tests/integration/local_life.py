"""A local SageMaker with real instances in a test's own process.

The object store is a folder here; requests go to the operations, past HTTP and
signatures, which have tests of their own.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import tarfile
import textwrap
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from portside.local.capacity.fleet import DEFAULT_HEALTH_CHECK, Fleet
from portside.local.capacity.starter import FleetSpec, Starter
from portside.local.clock import SystemClock
from portside.local.endpoint.controller import Controller
from portside.local.endpoint.provision import Provisioner
from portside.local.instance.instance import HealthCheck
from portside.local.instance.instance_client import InstanceClient
from portside.local.instance.process import ProcessLauncher
from portside.local.invocation.data_capture import DataCapture
from portside.local.log.log_store import LogStore
from portside.local.metric.metric_recorder import MetricRecorder
from portside.local.protocol.call import Call
from portside.local.protocol.fault import Fault
from portside.local.s3.artifact_cache import ArtifactCache, ObjectMissingError
from portside.local.services import operations
from portside.local.state.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

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


class NoMetrics:
    """CloudWatch, deaf."""

    async def put_metrics(self, data: object) -> None: ...


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
class Alarms:
    """CloudWatch's, as a test sets them."""

    states: dict[str, str] = field(default_factory=dict)

    async def alarm_states(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self.states[name] for name in names if name in self.states}


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
        await self.add_model(url, name=config)
        await self.add_config(config, variant(config, instance_count=instance_count))

    async def add_model(self, url: str, *, name: str) -> None:
        container = {"Image": IMAGE, "ModelDataUrl": url}
        await self.call("CreateModel", ModelName=name, PrimaryContainer=container)

    async def add_config(self, name: str, *variants: dict[str, Value]) -> None:
        await self.call(
            "CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=list(variants)
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

    async def invoke(self, data: str, **more: Value) -> str:
        output = await self.call(
            "InvokeEndpoint",
            EndpointName="ner",
            ContentType="application/json",
            Body=f'"{data}"'.encode(),
            **more,
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
    alarms: Alarms | None = None,
    pace: float = 1.0,
) -> AsyncIterator[LocalSageMaker]:
    clock, client = SystemClock(), InstanceClient()
    store = Store.open(folder / "state.sqlite3")
    logs = LogStore(folder / "logs")
    objects = FolderObjects(folder / "objects")
    chosen: dict[str, Any] = {} if command is None else {"command": command}
    launcher = ProcessLauncher(folder=folder / "instances", logs=logs, clock=clock, **chosen)
    artifacts = ArtifactCache(folder / "models", objects=objects)

    def new_capacity(spec: FleetSpec) -> Fleet:
        starter = Starter(spec, launcher=launcher, pinger=client, clock=clock)
        return Fleet(starter, clock=clock, health_check=health_check)

    controller = Controller(
        store=store,
        launcher=launcher,
        provisioner=Provisioner(
            images=launcher, artifacts=artifacts, new_capacity=new_capacity, clock=clock
        ),
        artifacts=artifacts,
        alarms=alarms or Alarms(),
        clock=clock,
        pace=pace,
    )
    table = operations(
        store=store,
        controller=controller,
        objects=objects,
        logs=logs,
        client=client,
        clock=clock,
        recorder=MetricRecorder(NoMetrics(), clock=clock),
        capture=DataCapture(objects, clock=clock),
    )
    await controller.start()
    try:
        yield LocalSageMaker(folder=folder, table=table, controller=controller)
    finally:
        await controller.stop()
        await client.close()
        store.close()


def variant(
    model: str, *, name: str = "AllTraffic", weight: float = 1.0, instance_count: int = 1
) -> dict[str, Value]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": instance_count,
        "InitialVariantWeight": weight,
    }


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
    """The instances: children of this process, but for multiprocessing's own."""
    living = (each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE)
    return [each for each in living if "multiprocessing" not in " ".join(each.cmdline())]
