from __future__ import annotations

from pathlib import Path

import pytest

from portside.engine.command import EngineKind
from portside.engine.engine import Engine
from portside.errors import MissingToolError
from portside.local.instance.container import ContainerLauncher
from portside.local.instance.launcher import KINDS, ChosenLauncher, EngineChoice
from portside.local.instance.runtime_image import ImageMissingError
from portside.local.log.log_store import LogStore
from tests.unit.engine.fake_runner import FakeRunner
from tests.unit.local.state_fakes import IMAGE, REGION, FakeClock, FakeLauncher

REPOSITORY = f"000000000000.dkr.ecr.{REGION}.amazonaws.com/mine"
DIGEST = f"sha256:{'2' * 64}"
HELD = {"Id": "11", "Digest": DIGEST}


class Search:
    """Finds the engine, if there is one, and counts how often it is asked to."""

    def __init__(self, engine: Engine | None) -> None:
        self.engine = engine
        self.count = 0

    async def __call__(self, kinds: tuple[EngineKind, ...]) -> Engine:
        self.count += 1
        if self.engine is None or self.engine.kind not in kinds:
            raise MissingToolError("there is none", hint="install one")
        return self.engine


def launcher(choice: EngineChoice, folder: Path, search: Search) -> ChosenLauncher:
    containers = ContainerLauncher(
        folder=folder / "containers",
        kinds=KINDS[choice],
        find=search,
        logs=LogStore(folder / "logs"),
        clock=FakeClock(),
    )
    return ChosenLauncher(choice, processes=FakeLauncher(), containers=containers)


def podman(*images: str) -> Search:
    return Search(FakeRunner(images=dict.fromkeys(images, HELD)).engine())


async def test_auto_needs_no_engine_for_the_runtime(tmp_path: Path) -> None:
    search = podman(IMAGE)
    chosen = launcher(EngineChoice.AUTO, tmp_path, search)

    await chosen.check()

    assert DIGEST not in await chosen.resolve(IMAGE)
    assert search.count == 0


async def test_auto_takes_containers_for_any_other_image(tmp_path: Path) -> None:
    chosen = launcher(EngineChoice.AUTO, tmp_path, podman(f"{REPOSITORY}:1"))

    assert await chosen.resolve(f"{REPOSITORY}:1") == f"{REPOSITORY}@{DIGEST}"


async def test_process_asks_no_engine(tmp_path: Path) -> None:
    search = podman(f"{REPOSITORY}:1")
    chosen = launcher(EngineChoice.PROCESS, tmp_path, search)

    await chosen.check()
    assert await chosen.resolve(IMAGE)
    with pytest.raises(ImageMissingError):
        await chosen.resolve(f"{REPOSITORY}:1")

    assert search.count == 0


async def test_a_demanded_engine_runs_what_it_holds_and_nothing_else(tmp_path: Path) -> None:
    chosen = launcher(EngineChoice.PODMAN, tmp_path, podman(f"{REPOSITORY}:1"))

    await chosen.check()

    assert DIGEST in await chosen.resolve(f"{REPOSITORY}:1")
    with pytest.raises(ImageMissingError):
        await chosen.resolve(IMAGE)


async def test_a_demanded_engine_must_be_there(tmp_path: Path) -> None:
    chosen = launcher(EngineChoice.DOCKER, tmp_path, podman(IMAGE))

    with pytest.raises(MissingToolError):
        await chosen.check()
