"""The local SageMaker's start, what it holds when nobody asks, and how fast it tells what there is.

    start      `portside local start` to the first answer of boto3, with its own S3 and without
    memory     of the gateway, and with SeaweedFS, after the start
    listing    a thousand Models and 200 endpoints: DescribeEndpoint, ListEndpoints, ListModels

Each start is in an empty folder. The endpoints are serverless and idle: each started an
instance of its own when it was created, and that has gone again.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import psutil
from botocore.config import Config

from bench.local import RUNTIME_IMAGE, pack_handler
from bench.place import ROOT, WORK, say
from portside.local.data_folder import DataFolder, find_running, read_keys

MOST_START_S: Final = 1.0
MOST_START_WITH_S3_S: Final = 2.5
MOST_BYTES: Final = 120_000_000
MOST_BYTES_WITH_S3: Final = 350_000_000
MOST_ANSWER_MS: Final = 5.0

ENDPOINTS: Final = 200
MODELS: Final = 1000

_STARTS: Final = 5
_SETTLE_S: Final = 3.0
_ASKED: Final = 100
_AT_ONCE: Final = 20
"""Endpoints that are created before the first of them is waited for."""
_NAME: Final = "bench"
_REGION: Final = "us-east-1"
_ONCE: Final = Config(retries={"total_max_attempts": 1})
_NOWHERE: Final = "http://127.0.0.1:9"
"""For `--s3`: no store is started then, and this one is never asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLife:
    """Medians; bytes are resident ones, of all processes together."""

    start_s: float
    start_with_s3_s: float
    idle_bytes: int
    idle_with_s3_bytes: int
    describe_endpoint_ms: float
    list_endpoints_ms: float
    describe_model_ms: float
    list_models_ms: float


def measure_local_life() -> LocalLife:
    """Start it some times, and fill it once."""
    say("local: starts")
    without = [_start("--s3", _NOWHERE) for _ in range(_STARTS)]
    with_s3 = [_start() for _ in range(_STARTS)]
    answers = _fill_and_ask()
    return LocalLife(
        start_s=statistics.median(seconds for seconds, _ in without),
        start_with_s3_s=statistics.median(seconds for seconds, _ in with_s3),
        idle_bytes=max(size for _, size in without),
        idle_with_s3_bytes=max(size for _, size in with_s3),
        **answers,
    )


def _start(*options: str) -> tuple[float, int]:
    """Seconds to the first answer, and bytes some seconds later."""
    with _started(*options) as (folder, begun):
        service = "sagemaker" if options else "s3"
        client = _clients(folder)[service]
        ask = client.list_endpoints if options else client.list_buckets
        ask()
        seconds = time.perf_counter() - begun
        time.sleep(_SETTLE_S)
        return seconds, _resident_bytes(folder)


@contextmanager
def _started(*options: str) -> Iterator[tuple[DataFolder, float]]:
    """A local SageMaker in an empty folder, and when the command that started it began."""
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        folder = DataFolder(Path(name) / "data")
        begun = time.perf_counter()
        _portside("local", "start", "--data", str(folder.path), "--port", "0", *options)
        try:
            yield folder, begun
        finally:
            _portside("local", "stop", "--data", str(folder.path))


def _portside(*arguments: str) -> None:
    environment = os.environ | {
        "PORTSIDE_S3_ACCESS_KEY_ID": "nobody",
        "PORTSIDE_S3_SECRET_ACCESS_KEY": "nothing",
    }
    program = Path(sys.executable).with_name("portside")
    subprocess.run(
        [program, *arguments], env=environment, cwd=ROOT, capture_output=True, check=True
    )


def _clients(folder: DataFolder) -> Mapping[str, Any]:
    running, keys = find_running(folder), read_keys(folder)
    if running is None:
        raise SystemExit("bench: the local SageMaker is not running")
    session = boto3.session.Session(
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        region_name=_REGION,
    )
    return {
        "s3": session.client("s3", endpoint_url=running.url, config=_ONCE),
        "sagemaker": session.client("sagemaker", endpoint_url=running.url, config=_ONCE),
    }


def _resident_bytes(folder: DataFolder) -> int:
    running = find_running(folder)
    if running is None:
        raise SystemExit("bench: the local SageMaker is not running")
    gateway = psutil.Process(running.pid)
    family = [gateway, *gateway.children(recursive=True)]
    return sum(process.memory_info().rss for process in family)


# --- Many of them ---------------------------------------------------------------------


def _fill_and_ask() -> dict[str, float]:
    with _started("--idle-timeout-s", "0.5", "--iam", "off") as (folder, _):
        clients = _clients(folder)
        client, s3 = clients["sagemaker"], clients["s3"]
        s3.create_bucket(Bucket=_NAME)
        s3.put_object(Bucket=_NAME, Key="model.tar.gz", Body=pack_handler())
        container = {"Image": RUNTIME_IMAGE, "ModelDataUrl": f"s3://{_NAME}/model.tar.gz"}
        say(f"local: {MODELS} Models")
        for number in range(MODELS):
            client.create_model(ModelName=f"{_NAME}-{number}", PrimaryContainer=container)
        _create_endpoints(clients)
        asks: dict[str, Callable[[int], object]] = {
            "describe_endpoint_ms": lambda number: client.describe_endpoint(
                EndpointName=f"{_NAME}-{number}"
            ),
            "list_endpoints_ms": lambda _: client.list_endpoints(),
            "describe_model_ms": lambda number: client.describe_model(
                ModelName=f"{_NAME}-{number}"
            ),
            "list_models_ms": lambda _: client.list_models(),
        }
        return {name: _p50_ms(ask) for name, ask in asks.items()}


def _create_endpoints(clients: Mapping[str, Any]) -> None:
    """All InService, some at a time: each starts an instance."""
    client = clients["sagemaker"]
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": f"{_NAME}-0",
        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    }
    client.create_endpoint_config(EndpointConfigName=_NAME, ProductionVariants=[variant])
    waiter = client.get_waiter("endpoint_in_service")
    for first in range(0, ENDPOINTS, _AT_ONCE):
        say(f"local: endpoints {first} to {first + _AT_ONCE} of {ENDPOINTS}")
        names = [f"{_NAME}-{number}" for number in range(first, first + _AT_ONCE)]
        for name in names:
            client.create_endpoint(EndpointName=name, EndpointConfigName=_NAME)
        for name in names:
            waiter.wait(EndpointName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})
    time.sleep(_SETTLE_S)


def _p50_ms(ask: Callable[[int], object]) -> float:
    """Of a call through boto3, its own work included."""
    seconds = []
    for number in range(_ASKED):
        begun = time.perf_counter()
        ask(number)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds) * 1000
