"""Ask this machine: versions, programs, ports, disks."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from portside.doctor.machine.fact import Machine, Port
from portside.engine.command import EngineKind
from portside.engine.finder import find_engine
from portside.engine.runner import SystemRunner
from portside.errors import MissingToolError

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "serve": ("numpy", "onnxruntime", "orjson", "tokenizers"),
    "local": ("aiohttp", "boto3", "cryptography", "moto", "starlette"),
    "build": ("urllib3", "uv"),
    "export": ("onnx", "onnxscript", "safetensors", "torch", "transformers"),
}
"""Modules of each extra without which its commands fail; see the project's own metadata."""

_PROXIES: Final = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)

_CONNECT_TIMEOUT_S: Final = 1.0


def gather(
    folder: Path,
    *,
    target: str,
    port: int,
    is_ours: bool,
    environment: Mapping[str, str],
    model_bytes: int,
    needs_export: bool,
) -> Machine:
    """The facts of this machine, for a project in `folder`.

    `port` is the local AWS's, and `is_ours` whether it is what listens there.
    """
    engine, flaw = asyncio.run(_engine(environment))
    return Machine(
        target=target,
        python=(sys.version_info.major, sys.version_info.minor),
        missing=missing(EXTRAS),
        needs_export=needs_export,
        engine=engine,
        engine_flaw=flaw,
        port=port,
        port_state=Port.OURS if is_ours else _port(port),
        free_bytes=_free(folder),
        free_temporary_bytes=_free(Path(tempfile.gettempdir())),
        temporary=tempfile.gettempdir(),
        model_bytes=model_bytes,
        proxies=tuple(name for name in _PROXIES if environment.get(name)),
        is_loopback_direct=is_direct("127.0.0.1", environment),
    )


def missing(extras: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The modules of each extra that cannot be found; none is imported."""
    found = {
        extra: tuple(name for name in names if importlib.util.find_spec(name) is None)
        for extra, names in extras.items()
    }
    return {extra: names for extra, names in found.items() if names}


def is_direct(host: str, environment: Mapping[str, str]) -> bool:
    """Whether `NO_PROXY` excepts a host by its name."""
    said = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return not {"*", host}.isdisjoint(name.strip() for name in said.split(","))


async def _engine(environment: Mapping[str, str]) -> tuple[str | None, str]:
    try:
        found = await find_engine(
            (EngineKind.DOCKER, EngineKind.PODMAN), runner=SystemRunner(environment)
        )
    except MissingToolError as error:
        return None, error.message
    return str(found), ""


def _port(port: int) -> Port:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_TIMEOUT_S)
        return Port.TAKEN if probe.connect_ex(("127.0.0.1", port)) == 0 else Port.FREE


def _free(folder: Path) -> int:
    """Bytes on the disk of a folder; of the nearest one that is there."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
