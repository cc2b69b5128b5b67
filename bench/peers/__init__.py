"""Who is measured: each server as the command that its own documentation gives.

A peer has a folder here with its app, a handler that does nothing (`no_op`),
and the pins of its environment. Portside, the tutorial's app and Flask run in
the environment of the benchmark itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from bench.model import Models
from bench.place import ROOT, WORK
from bench.server import HOST, Server
from bench.venv import make_venv, pinned
from portside import contract

BASELINE: Final = "baseline"
PORTSIDE_INT8: Final = "Portside int8"
PORTSIDE_FP32: Final = "Portside fp32"
PORTSIDE: Final = "Portside"
PORTSIDE_ASGI: Final = "raw ASGI on Portside"
RAW_ASGI: Final = "raw ASGI on uvicorn"
FASTAPI: Final = "FastAPI"
FLASK: Final = "Flask on gunicorn"
LITSERVE: Final = "LitServe"
BENTOML: Final = "BentoML"

_HERE: Final = Path(__file__).parent
_NEEDS_NO_MODEL: Final[dict[str, str]] = {}
_BENTOML_PING: Final = "/readyz"


def task_servers(models: Models) -> tuple[Server, ...]:
    """Servers of the same model: this one, the tutorial's, and three with the model by hand."""
    by_hand = {
        contract.ENV_MODEL_DIR: str(models.fp32),
        "PYTHONPATH": str(_HERE / "by_hand"),
    }
    return (
        portside(models.int8, name=PORTSIDE_INT8),
        portside(models.fp32, name=PORTSIDE_FP32),
        Server(
            name=BASELINE,
            argv=(*_gunicorn(), "app:app"),
            environment={contract.ENV_MODEL_DIR: str(models.checkpoint)},
            folder=ROOT / "bench" / "baseline",
        ),
        _uvicorn(FASTAPI, "fastapi", app="app:app", environment=by_hand),
        _litserve("server.py", by_hand),
        _bentoml("service:NerService", by_hand),
    )


def no_op_servers() -> tuple[Server, ...]:
    """Servers of a handler that returns the length of each text."""
    return (
        _uvicorn(RAW_ASGI, "raw_asgi", app="no_op:app", environment=_NEEDS_NO_MODEL),
        portside(_HERE / "portside", name=PORTSIDE),
        portside(_HERE / "raw_asgi", name=PORTSIDE_ASGI, app="no_op:app"),
        _uvicorn(FASTAPI, "fastapi", app="no_op:app", environment=_NEEDS_NO_MODEL),
        Server(
            name=FLASK,
            argv=(*_gunicorn(), "no_op:app"),
            environment={},
            folder=_HERE / "flask",
        ),
        _litserve("no_op.py", _NEEDS_NO_MODEL),
        _bentoml("no_op:LengthService", _NEEDS_NO_MODEL),
    )


def portside(
    model: Path, *, name: str, timeout_s: float | None = None, app: str | None = None
) -> Server:
    """An instance as SageMaker starts it, all else as it is by default."""
    environment = {
        contract.ENV_MODEL_DIR: str(model),
        contract.ENV_BIND_TO_PORT: "{port}",
        contract.ENV_BIND_HOST: HOST,
    }
    if timeout_s is not None:
        environment[contract.ENV_TIMEOUT] = f"{timeout_s:.3f}"
    if app is not None:
        environment[contract.ENV_APP] = app
    return Server(
        name=name,
        argv=(sys.executable, "-m", "portside.serving", contract.SERVE_ARGUMENT),
        environment=environment,
        folder=WORK,
    )


def peer_versions() -> dict[str, str]:
    """What the peers' environments are pinned to, as far as it is of interest."""
    named = {"fastapi": ("fastapi", "uvicorn"), "litserve": ("litserve",), "bentoml": ("bentoml",)}
    return {
        package: pinned(_requirements(peer))[package]
        for peer, packages in named.items()
        for package in packages
    }


def _requirements(peer: str) -> Path:
    return _HERE / peer / "requirements.txt"


def _gunicorn() -> tuple[str, ...]:
    return (sys.executable, "-m", "gunicorn", "--bind", f"{HOST}:{{port}}")


def _uvicorn(name: str, folder: str, *, app: str, environment: dict[str, str]) -> Server:
    """FastAPI's environment has uvicorn with httptools and uvloop, for the raw app as well."""
    python = str(make_venv(_requirements("fastapi")))
    options = ("--host", HOST, "--port", "{port}", "--no-access-log")
    return Server(
        name=name,
        argv=(python, "-m", "uvicorn", app, *options),
        environment=environment,
        folder=_HERE / folder,
    )


def _litserve(program: str, environment: dict[str, str]) -> Server:
    python = str(make_venv(_requirements("litserve")))
    return Server(
        name=LITSERVE,
        argv=(python, program, "{port}"),
        environment=environment,
        folder=_HERE / "litserve",
    )


def _bentoml(service: str, environment: dict[str, str]) -> Server:
    python = str(make_venv(_requirements("bentoml")))
    command = ("-m", "bentoml", "serve", service, "--host", HOST, "--port", "{port}")
    return Server(
        name=BENTOML,
        argv=(python, *command),
        environment={
            **environment,
            "BENTOML_HOME": str(WORK / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
        },
        folder=_HERE / "bentoml",
        ping_path=_BENTOML_PING,
    )
