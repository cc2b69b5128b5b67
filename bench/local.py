"""What the local SageMaker costs: an endpoint asked through its gateway, and its instance itself.

    gateway started in an empty folder ─▶ bucket, artifact, Model, EndpointConfig, Endpoint
    one signed request, sent again and again: each time its signature is checked anew
    rounds: instance, gateway, one connection each; gateway with many

The handler returns the length of each text. Both ends stand on one machine, and so does the
load generator.
"""

from __future__ import annotations

import io
import json
import statistics
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import boto3
import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.load import Load, make_bodies, run_load
from bench.place import ROOT, WORK, say
from bench.server import HOST, JSON_TYPE, Route, Running, Server, invoke, running
from bench.task_speed import median_load
from portside import __version__
from portside.local.data_folder import DataFolder, Keys, read_keys

CONNECTIONS: Final = 32
"""Of the load that is to fill the machine."""
MOST_OVERHEAD_MS: Final = 2.0
LEAST_REQUESTS_PER_S: Final = 800

_HANDLER: Final = ROOT / "bench" / "peers" / "portside" / "inference.py"
_REGION: Final = "us-east-1"
_NAME: Final = "bench"
RUNTIME_IMAGE: Final = (
    f"000000000000.dkr.ecr.{_REGION}.amazonaws.com/portside-runtime:{__version__}"
)
_WARM_UP_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSpeed:
    """Medians of the rounds: one connection to each, and many to the gateway.

    `overhead_ms` is the median of the differences within the rounds.
    """

    instance: Load
    gateway: Load
    gateway_full: Load
    overhead_ms: float


def measure_local(texts: Sequence[str], *, rounds: int, seconds: float) -> LocalSpeed:
    """In so many rounds of three loads, each of so many seconds."""
    [body, *_] = make_bodies(texts)
    with tempfile.TemporaryDirectory(dir=WORK) as folder, _running(Path(folder)) as started:
        say("local: starting and deploying")
        started.wait_for_ping()
        keys = read_keys(DataFolder(Path(folder)))
        _deploy(_clients(started, keys))
        instance = replace(started, port=_instance_port(started))
        route = _signed(started, keys, body)
        _check_answer(started, route, body, texts[0])
        run_load(started, [body], connections=8, duration_s=_WARM_UP_S, route=route)
        alone, through, full = [], [], []
        for number in range(1, rounds + 1):
            say(f"local, round {number} of {rounds}")
            alone.append(run_load(instance, [body], connections=1, duration_s=seconds))
            one = run_load(started, [body], connections=1, duration_s=seconds, route=route)
            through.append(one)
            many = run_load(
                started, [body], connections=CONNECTIONS, duration_s=seconds, route=route
            )
            full.append(many)
    apart = [one.p50_ms - other.p50_ms for one, other in zip(through, alone, strict=True)]
    return LocalSpeed(
        instance=median_load(alone),
        gateway=median_load(through),
        gateway_full=median_load(full),
        overhead_ms=statistics.median(apart),
    )


def _running(folder: Path) -> AbstractContextManager[Running]:
    server = Server(
        name="local",
        argv=(
            sys.executable, "-m", "portside.local",
            "--data", str(folder), "--port", "{port}", "--iam", "off",
        ),
        environment={},
        folder=WORK,
        ping_path="/_portside/health",
    )  # fmt: skip
    return running(server, WORK)


def _clients(started: Running, keys: Keys) -> Mapping[str, Any]:
    return {
        service: boto3.client(
            service,
            endpoint_url=f"http://{HOST}:{started.port}",
            region_name=_REGION,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
        )
        for service in ("s3", "sagemaker")
    }


def _deploy(clients: Mapping[str, Any]) -> None:
    s3, sagemaker = clients["s3"], clients["sagemaker"]
    s3.create_bucket(Bucket=_NAME)
    s3.put_object(Bucket=_NAME, Key="model.tar.gz", Body=pack_handler())
    sagemaker.create_model(
        ModelName=_NAME,
        PrimaryContainer={"Image": RUNTIME_IMAGE, "ModelDataUrl": f"s3://{_NAME}/model.tar.gz"},
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": _NAME,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=_NAME, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=_NAME, EndpointConfigName=_NAME)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=_NAME, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
    )


def pack_handler() -> bytes:
    """A `model.tar.gz` with the handler and nothing else."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(_HANDLER, "code/inference.py")
    return packed.getvalue()


def _instance_port(started: Running) -> int:
    """Where the one instance listens: the runtime among the gateway's children."""
    for child in psutil.Process(started.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if "portside.serving" not in child.cmdline():
                continue
            for connection in child.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    port: int = connection.laddr.port
                    return port
    raise SystemExit("bench: the endpoint has no instance")


def _signed(started: Running, keys: Keys, body: bytes) -> Route:
    """One request for the body; a signature is good for minutes, and for as often as it is sent."""
    path = f"/endpoints/{_NAME}/invocations"
    request = AWSRequest(
        method="POST",
        url=f"http://{HOST}:{started.port}{path}",
        data=body,
        headers={"Content-Type": JSON_TYPE},
    )
    credentials = Credentials(keys.access_key_id, keys.secret_access_key)
    SigV4Auth(credentials, "sagemaker", _REGION).add_auth(request)
    return Route(path=path, headers=dict(request.headers.items()))


def _check_answer(started: Running, route: Route, body: bytes, text: str) -> None:
    with started.connect() as connection:
        answer = json.loads(invoke(connection, body, route=route))
    if answer != [len(text)]:
        raise SystemExit(f"bench: the endpoint answered {answer}")
