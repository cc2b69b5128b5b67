"""Which engine there is: its program is found, and it answers.

A program alone is not enough. docker's may have no server to speak to; `docker` may be
podman by another name, which is found by its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any, Final

from portside.engine.command import INFO, EngineKind
from portside.engine.engine import Engine
from portside.engine.runner import Runner
from portside.errors import MissingToolError

_TIMEOUT_S: Final = 5.0
"""It takes a tenth of a second; one that takes this long would not start an instance either."""


async def find_engine(
    kinds: tuple[EngineKind, ...],
    *,
    runner: Runner,
    which: Callable[[str], str | None] = shutil.which,
) -> Engine:
    """The first of these that is usable; raises `MissingToolError` where none is."""
    reasons = []
    for kind in kinds:
        found = await _look(kind, runner=runner, which=which)
        if isinstance(found, Engine):
            return found
        reasons.append(found)
    questions = " or ".join(f"`{kind} info`" for kind in kinds)
    raise MissingToolError(
        f"could not find an engine to run containers: {'; '.join(reasons)}",
        hint=f"see why with {questions}, or run `portside local start --engine process`",
    )


async def _look(
    kind: EngineKind, *, runner: Runner, which: Callable[[str], str | None]
) -> Engine | str:
    """The engine, or why it is none."""
    program = which(kind)
    if program is None:
        return f"`{kind}` is not installed"
    try:
        done = await runner.run((program, *INFO), timeout_s=_TIMEOUT_S)
    except TimeoutError:
        return f"`{kind}` did not answer in {_TIMEOUT_S:.0f} s"
    except OSError as error:
        return f"`{kind}` could not be run: {error.strerror}"
    try:
        said = json.loads(done.output)
    except ValueError:
        return f"`{kind}` does not work: {done.reason}"
    version, limits_memory = _READERS[kind](said)
    if done.code != 0 or not version:
        return f"`{kind}` does not work: {done.reason}"
    return Engine(
        kind, program=program, version=version, limits_memory=limits_memory, runner=runner
    )


def _docker(said: dict[str, Any]) -> tuple[str, bool]:
    """An older program prints this too where no server answers; it names no version then."""
    return said.get("ServerVersion", ""), said.get("MemoryLimit", False)


def _podman(said: dict[str, Any]) -> tuple[str, bool]:
    controllers = said.get("host", {}).get("cgroupControllers") or []
    return said.get("version", {}).get("Version", ""), "memory" in controllers


_READERS: Final = {EngineKind.DOCKER: _docker, EngineKind.PODMAN: _podman}
