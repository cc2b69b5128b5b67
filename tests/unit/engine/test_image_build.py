"""An engine that builds: which one, what it is told, what is heard of it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from portside.engine.command import EngineKind
from portside.engine.image_build import (
    ImageBuild,
    ImageBuilder,
    build,
    find_builder,
    prepare,
    save,
)
from portside.engine.runner import NOTHING_MORE, Done
from portside.errors import BuildError, MissingToolError
from tests.unit.engine.fake_runner import FakeAttached

INFO = {
    EngineKind.DOCKER: {"ServerVersion": "28.2", "MemoryLimit": True},
    EngineKind.PODMAN: {"version": {"Version": "4.3"}, "host": {"cgroupControllers": []}},
}


@dataclass
class BuildingRunner:
    """Engines that answer, print what they are to, and end with an exit code."""

    usable: tuple[EngineKind, ...] = (EngineKind.PODMAN,)
    has_buildx: bool = True
    code: int = 0
    prints: tuple[bytes, ...] = (b"STEP 1/1: FROM scratch",)
    is_cut: bool = False
    """By Ctrl-C, while it prints."""
    orders: list[tuple[str, ...]] = field(default_factory=list)
    attached: list[FakeAttached] = field(default_factory=list)

    async def run(
        self,
        command: tuple[str, ...],
        *,
        timeout_s: float,
        environment: Mapping[str, str] = NOTHING_MORE,
    ) -> Done:
        kind = EngineKind(command[0])
        if kind not in self.usable:
            return Done(code=1, errors="Cannot connect")
        return Done(code=0, output=json.dumps(INFO[kind]).encode())

    async def attach(self, command: tuple[str, ...]) -> FakeAttached:
        self.orders.append(command)
        attached = FakeAttached()
        self.attached.append(attached)
        if "--iidfile" in command:
            _write_id(Path(command[command.index("--iidfile") + 1]))
        if self.is_cut:
            attached.output.set_exception(asyncio.CancelledError())
        elif command[1:] == ("buildx", "version"):
            attached.exit(0 if self.has_buildx else 1)
        else:
            attached.exit(self.code, *self.prints)
        return attached


def _write_id(file: Path) -> None:
    file.write_text("sha256:abc\n")


def wanted(folder: Path) -> ImageBuild:
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text("FROM scratch\n")
    return ImageBuild(
        dockerfile=dockerfile,
        context=folder,
        left_out=(".portside",),
        platform="linux/arm64",
        name="portside/ner",
    )


def builder(runner: BuildingRunner, heard: list[str] | None = None) -> ImageBuilder:
    hear = [] if heard is None else heard
    return find_builder(runner=runner, which=str, hear=hear.append)


def test_docker_adds_nothing_that_sagemaker_refuses(tmp_path: Path) -> None:
    told = build(EngineKind.DOCKER, wanted(tmp_path), folder=Path("/scratch"))

    assert told == (
        *("buildx", "build", "--load", "--provenance=false", "--sbom=false", "--progress=plain"),
        *("--platform", "linux/arm64", "--file", "/scratch/Dockerfile", "--tag", "portside/ner"),
        *("--iidfile", "/scratch/id", str(tmp_path)),
    )
    assert save(EngineKind.DOCKER, "abc", file=Path("/x")) == ("save", "--output", "/x", "abc")


def test_podman_is_told_the_same_in_its_words(tmp_path: Path) -> None:
    told = build(EngineKind.PODMAN, wanted(tmp_path), folder=Path("/scratch"))

    assert told == (
        *("build", "--format", "docker", "--layers"),
        *("--ignorefile", "/scratch/Dockerfile.dockerignore"),
        *("--platform", "linux/arm64", "--file", "/scratch/Dockerfile", "--tag", "portside/ner"),
        *("--iidfile", "/scratch/id", str(tmp_path)),
    )
    assert save(EngineKind.PODMAN, "abc", file=Path("/x"))[:3] == (
        *("save", "--format", "docker-archive"),
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "\n.portside\n"),
        ({".dockerignore": "*\n!app"}, "*\n!app\n.portside\n"),
        ({".dockerignore": "x", "Dockerfile.dockerignore": "y"}, "y\n.portside\n"),
    ],
)
def test_what_no_image_is_to_hold_is_left_out_too(
    tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "to").mkdir()

    prepare(wanted(tmp_path), tmp_path / "to")

    assert (tmp_path / "to" / "Dockerfile").read_text() == "FROM scratch\n"
    assert (tmp_path / "to" / "Dockerfile.dockerignore").read_text() == expected


def test_what_is_left_out_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"caf\xe9")
    (tmp_path / "to").mkdir()

    prepare(wanted(tmp_path), tmp_path / "to")

    assert (tmp_path / "to" / "Dockerfile.dockerignore").read_bytes() == b"caf\xe9\n.portside\n"


def test_every_line_is_heard(tmp_path: Path) -> None:
    heard: list[str] = []
    runner = BuildingRunner(prints=(b"one", b"10 %\r20 %", b"\xff", b"x" * 200_000))

    assert builder(runner, heard).build(wanted(tmp_path)) == "sha256:abc"

    assert heard == ["one", "10 %", "20 %", "\ufffd", "x" * 200_000]


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    prints = tuple(f"line {number}".encode() for number in range(100))
    failing = BuildingRunner(code=125, prints=(*prints, b"", b"Error: no such command"))

    with pytest.raises(BuildError, match=r"could not build .* for linux/arm64") as raised:
        builder(failing).build(wanted(tmp_path))

    assert raised.value.message.endswith("line 99\n  Error: no such command")
    assert "line 90" not in raised.value.message
    assert raised.value.hint
    assert str(tmp_path / "Dockerfile") in raised.value.hint


def test_an_image_that_cannot_be_saved_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="could not write the image `abc` to a file: gone"):
        builder(BuildingRunner(code=1, prints=(b"gone",))).save("abc", tmp_path / "x")


def test_an_interrupted_build_is_ended(tmp_path: Path) -> None:
    runner = BuildingRunner(is_cut=True)

    with pytest.raises(asyncio.CancelledError):
        builder(runner).build(wanted(tmp_path))

    assert runner.attached[0].signals == [signal.SIGTERM]
    assert runner.attached[0].is_closed


@pytest.mark.parametrize(
    ("usable", "has_buildx", "program"),
    [
        ((EngineKind.DOCKER, EngineKind.PODMAN), True, "docker"),
        ((EngineKind.DOCKER, EngineKind.PODMAN), False, "podman"),
        ((EngineKind.PODMAN,), True, "podman"),
    ],
)
def test_docker_builds_where_it_can(
    tmp_path: Path, usable: tuple[EngineKind, ...], has_buildx: bool, program: str
) -> None:
    runner = BuildingRunner(usable=usable, has_buildx=has_buildx)

    builder(runner).build(wanted(tmp_path))

    assert runner.orders[-1][0] == program


def test_where_none_can_build_the_way_on_is_told() -> None:
    with pytest.raises(MissingToolError, match="`docker` has no buildx; `podman`") as raised:
        builder(BuildingRunner(usable=(EngineKind.DOCKER,), has_buildx=False))

    assert raised.value.hint
    assert "install podman or docker with buildx" in raised.value.hint
