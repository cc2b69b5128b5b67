from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from portside.engine.command import EngineKind
from portside.engine.finder import find_engine
from portside.engine.runner import NOTHING_MORE, Attached, Done
from portside.errors import MissingToolError

BOTH = (EngineKind.DOCKER, EngineKind.PODMAN)
DOCKER = Done(code=0, output=json.dumps({"ServerVersion": "28.2", "MemoryLimit": True}).encode())
# What docker's program prints, with exit code 0 before version 23, where no server answers it.
NO_SERVER = Done(
    code=0,
    output=json.dumps({"ServerErrors": ["no daemon"], "MemoryLimit": False}).encode(),
    errors="ERROR: Cannot connect to the Docker daemon",
)


def podman(*controllers: str) -> Done:
    said = {"version": {"Version": "4.3.1"}, "host": {"cgroupControllers": controllers}}
    return Done(code=0, output=json.dumps(said).encode())


class Answers:
    """A runner whose programs say this when they are asked what they are."""

    def __init__(self, **answers: Done | OSError) -> None:
        self.answers = answers

    def which(self, name: str) -> str | None:
        return name if name in self.answers else None

    async def run(
        self,
        command: tuple[str, ...],
        *,
        timeout_s: float,
        environment: Mapping[str, str] = NOTHING_MORE,
    ) -> Done:
        answer = self.answers[command[0]]
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def attach(self, command: tuple[str, ...]) -> Attached:
        raise NotImplementedError


async def test_the_first_that_is_usable() -> None:
    answers = Answers(docker=DOCKER, podman=podman("memory"))

    engine = await find_engine(BOTH, runner=answers, which=answers.which)

    assert str(engine) == "docker 28.2"
    assert engine.limits_memory


@pytest.mark.parametrize(
    "docker",
    [
        NO_SERVER,
        Done(code=1, errors="boom"),
        Done(code=1, output=DOCKER.output),
        TimeoutError(),
        PermissionError(13, "denied"),
    ],
)
async def test_a_program_alone_is_no_engine(docker: Done | OSError) -> None:
    answers = Answers(docker=docker, podman=podman())

    engine = await find_engine(BOTH, runner=answers, which=answers.which)

    assert str(engine) == "podman 4.3.1"
    assert not engine.limits_memory


async def test_podman_by_the_name_of_docker_is_not_taken_for_docker() -> None:
    answers = Answers(docker=podman("memory"))

    with pytest.raises(MissingToolError):
        await find_engine((EngineKind.DOCKER,), runner=answers, which=answers.which)


async def test_where_there_is_none_each_reason_is_told() -> None:
    answers = Answers(docker=NO_SERVER)

    with pytest.raises(MissingToolError) as raised:
        await find_engine(BOTH, runner=answers, which=answers.which)

    assert raised.value.message == (
        "could not find an engine to run containers: `docker` does not work: ERROR: Cannot connect"
        " to the Docker daemon; `podman` is not installed"
    )
    assert raised.value.hint == (
        "see why with `docker info` or `podman info`, or run"
        " `portside local start --engine process`"
    )
