"""The OpenAPI document of an endpoint's instance, which no caller of the endpoint can reach.

    endpoint ─▶ Model ─▶ model.tar.gz ─▶ served here for a moment ─▶ GET /openapi.json

SageMaker hands nothing but `/invocations` to an instance. So the endpoint's own artifact is
brought here and served by the runtime that is installed here, with the Model's environment:
what the document says holds for that artifact, whatever the project holds by now.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from portside import archive, contract
from portside.aws import sagemaker
from portside.aws.session import Session, explained
from portside.client.endpoint import Endpoint
from portside.client.place import Place
from portside.errors import PortsideError, UsageError

_POLL_S: Final = 0.05
_PATH: Final = "/openapi.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What an endpoint's Model is made of, as far as it can be served here."""

    model_data: str
    environment: Mapping[str, str]


def find_served(session: Session, endpoint: Endpoint) -> Served:
    """The artifact of an endpoint's Model; raises `UsageError` where it has not just one."""
    found = [sagemaker.describe_model(session, name) for name in endpoint.models]
    containers = [
        model["PrimaryContainer"] for model in found if model and "PrimaryContainer" in model
    ]
    if len(containers) != 1 or not containers[0].get("ModelDataUrl", "").endswith(".tar.gz"):
        raise UsageError(
            f"cannot tell what `{endpoint.name}` takes: it has not one model.tar.gz on S3",
            hint="name the artifact to describe: `--model-data FILE`",
        )
    return Served(
        model_data=containers[0]["ModelDataUrl"],
        environment=containers[0].get("Environment", {}),
    )


def download(session: Session, served: Served, *, to: Path) -> None:
    """Bring the artifact here."""
    place = Place.of(served.model_data)
    with explained("s3", "GetObject"):
        session.s3.download_file(place.bucket, place.key, str(to))


def read_document(model_data: Path, *, environment: Mapping[str, str]) -> dict[str, Any]:
    """The document of an artifact; raises `PortsideError` where it cannot be served here."""
    with tempfile.TemporaryDirectory(prefix="portside-document-") as folder:
        model_dir, log = Path(folder, "model"), Path(folder, "log")
        archive.unpack(model_data, model_dir)
        port = _free_port()
        told = {
            contract.ENV_MODEL_DIR: str(model_dir),
            contract.ENV_BIND_TO_PORT: str(port),
            contract.ENV_BIND_HOST: "127.0.0.1",
        }
        argv = [sys.executable, "-m", "portside.serving", contract.SERVE_ARGUMENT]
        with (
            log.open("wb") as lines,
            subprocess.Popen(
                argv, env={**environment, **told}, stdout=lines, stderr=subprocess.STDOUT
            ) as process,
        ):
            try:
                return _ask(port, process, log)
            finally:
                process.terminate()


def _ask(port: int, process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    until = time.monotonic() + contract.STARTUP_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        answered = _get(port)
        if answered is not None:
            return answered
        time.sleep(_POLL_S)
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    raise PortsideError(
        f"cannot serve the artifact here: {said[-1] if said else 'it did not start in time'}",
        hint="serve it where it does start, and take `GET /openapi.json` from there: "
        "`portside serve --model-data FILE`",
    )


def _get(port: int) -> dict[str, Any] | None:
    """The document, or None where the instance is not up yet."""
    connection = HTTPConnection("127.0.0.1", port, timeout=contract.PING_TIMEOUT_S)
    try:
        connection.request("GET", _PATH)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return None
    try:
        found = json.loads(body) if answer.status == HTTPStatus.OK else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PortsideError(
            f"the artifact's own app does not describe itself: `GET {_PATH}` has no document",
            hint=f"answer `GET {_PATH}` in it, or write the endpoint's document by hand",
        )
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
