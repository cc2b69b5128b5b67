from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from portside.engine.command import EngineKind
from portside.engine.engine import Engine
from portside.errors import MissingToolError
from portside.image.oci import Config
from portside.local.instance.container import ContainerLauncher
from portside.local.instance.image.image_pull import ImagePulls, Registry
from portside.local.instance.image.pushed_image import NoImages, PushedImages
from portside.local.instance.image.root_probe import RootProbe
from portside.local.instance.instance import InstanceSpec, Process
from portside.local.instance.launcher import (
    KINDS,
    ChosenLauncher,
    EngineChoice,
    ImageRefusedError,
)
from portside.local.instance.runtime_image import ImageMissingError
from portside.local.log.log_store import LogStore
from tests.unit.engine.fake_runner import FakeRunner
from tests.unit.local.image_fakes import HERE, THERE, FakeStore, config
from tests.unit.local.image_fakes import REPOSITORY as PUSHED
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
    return ChosenLauncher(
        choice,
        processes=FakeLauncher(),
        containers=containers,
        images=PushedImages(folder / "trees", store=NoImages()),
        probe=RootProbe(),
        keeper=lambda _: lambda _: None,
    )


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


# --- Images of the local ECR ---------------------------------------------------

POD = {"Id": "22", "Digest": DIGEST}


class FixedProbe(RootProbe):
    """A machine whose answer is known."""

    def __init__(self, obstacle: str | None = None) -> None:
        super().__init__()
        self.answer = obstacle

    async def obstacle(self) -> str | None:
        return self.answer


class Bench:
    """A launcher over a local ECR and a podman that can pull from it."""

    def __init__(self, folder: Path, choice: EngineChoice, *, obstacle: str | None = None) -> None:
        self.store = FakeStore(folder=folder / "blobs")
        self.runner = FakeRunner()
        self.search = Search(self.runner.engine())
        self.processes = FakeLauncher()
        self.log: list[str] = []
        images = PushedImages(folder / "trees", store=self.store)
        registry = Registry(address="127.0.0.1:4566", user="AWS", password=lambda: "secret")
        self.folder = folder
        self.launcher = ChosenLauncher(
            choice,
            processes=self.processes,
            containers=ContainerLauncher(
                folder=folder / "containers",
                kinds=(EngineKind.PODMAN,),
                find=self.search,
                logs=LogStore(folder / "logs"),
                clock=FakeClock(),
                pulls=ImagePulls(folder / "pulls", images=images, registry=registry),
            ),
            images=images,
            probe=FixedProbe(obstacle),
            keeper=lambda _: lambda lines: self.log.extend(line.decode() for line in lines),
        )

    def push(self, image: Config) -> str:
        """The digest under which podman can pull it too."""
        digest = self.store.push("1", {"x": "x"}, config=image).digest
        self.runner.registry[f"127.0.0.1:4566/pushed@{digest}"] = POD
        return digest

    async def launch(
        self, image: str | None = None, *, instance_type: str | None = "ml.m5.large"
    ) -> Process:
        model = self.folder / "model"
        model.mkdir(exist_ok=True)
        spec = InstanceSpec(
            instance_id="i-1",
            image=image or await self.launcher.resolve(f"{PUSHED}:1"),
            environment={},
            model_dir=model,
            region=REGION,
            log_group="group",
            log_stream="stream",
            instance_type=instance_type,
        )
        return await self.launcher.launch(spec)

    def containers(self) -> int:
        return len(self.runner.told("create"))


amd64_only = pytest.mark.skipif(HERE != "amd64", reason="of a machine that is as ml.m5 is")


@amd64_only
@pytest.mark.parametrize(
    ("choice", "processes"),
    [(EngineChoice.AUTO, 1), (EngineChoice.PROCESS, 1), (EngineChoice.PODMAN, 0)],
)
async def test_what_a_pushed_image_runs_in(
    tmp_path: Path, choice: EngineChoice, processes: int
) -> None:
    bench = Bench(tmp_path, choice)
    bench.push(config())

    process = await bench.launch()

    assert len(bench.processes.processes) == processes
    assert bench.containers() == 1 - processes
    process.kill()


@amd64_only
@pytest.mark.parametrize(
    ("image", "obstacle"), [(config(takes_port=False), None), (config(), "no rights here")]
)
async def test_what_cannot_be_a_process_is_a_container_or_refused(
    tmp_path: Path, image: Config, obstacle: str | None
) -> None:
    auto = Bench(tmp_path / "auto", EngineChoice.AUTO, obstacle=obstacle)
    only = Bench(tmp_path / "only", EngineChoice.PROCESS, obstacle=obstacle)
    auto.push(image)
    only.push(image)

    process = await auto.launch()
    with pytest.raises(ImageRefusedError):
        await only.launch()

    assert auto.containers() == 1
    assert only.log[0].startswith("This image cannot run as a process here: ")
    assert (obstacle or "port 8080") in only.log[0]
    assert "Install podman or docker" in only.log[1]
    process.kill()


@amd64_only
async def test_where_there_is_no_engine_either_both_reasons_are_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, EngineChoice.AUTO, obstacle="no rights here")
    bench.search.engine = None
    bench.push(config())

    with pytest.raises(ImageRefusedError):
        await bench.launch()

    assert bench.log == ["Nor can this image run as a process here: no rights here"]


@pytest.mark.parametrize("choice", [EngineChoice.AUTO, EngineChoice.PROCESS, EngineChoice.PODMAN])
@pytest.mark.parametrize(
    ("architecture", "instance_type"),
    [("arm64", "ml.m5.large"), ("amd64", "ml.m7g.large"), ("arm64", None)],
)
async def test_what_aws_could_not_run_is_not_run_here(
    tmp_path: Path, choice: EngineChoice, architecture: str, instance_type: str | None
) -> None:
    bench = Bench(tmp_path, choice)
    bench.push(config(architecture))

    with pytest.raises(ImageRefusedError):
        await bench.launch(instance_type=instance_type)

    assert bench.log[0] == "exec /bin/server: exec format error"
    assert f"The image is for linux/{architecture}" in bench.log[1]
    assert bench.runner.orders == []


@amd64_only
async def test_an_image_is_pulled_once_and_its_password_is_in_a_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, EngineChoice.PODMAN)
    digest = bench.push(config())

    for _ in range(2):
        (await bench.launch()).kill()

    (pull,) = bench.runner.told("pull")
    assert pull[-1] == f"127.0.0.1:4566/pushed@{digest}"
    auth = base64.b64encode(b"AWS:secret").decode()
    assert json.loads(bench.runner.auth_files[0]) == {"auths": {"127.0.0.1:4566": {"auth": auth}}}
    assert not any("secret" in word or auth in word for word in pull)
    assert list((tmp_path / "pulls").iterdir()) == []
    assert bench.runner.told("create")[-1][-2:] == ("sha256:22", "serve")


@amd64_only
async def test_what_the_engine_has_pulled_runs_on_though_ecr_has_it_no_more(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, EngineChoice.PODMAN)
    digest = bench.push(config())
    (await bench.launch()).kill()
    bench.store.images.clear()

    (await bench.launch(f"{PUSHED}@{digest}")).kill()

    assert bench.containers() == 2
    with pytest.raises(ImageMissingError):  # for an endpoint that is new it does not exist
        await bench.launcher.resolve(f"{PUSHED}@{digest}")


@amd64_only
async def test_a_tag_that_moves_changes_nothing_that_is_resolved(tmp_path: Path) -> None:
    bench = Bench(tmp_path, EngineChoice.AUTO)
    digest = bench.push(config())
    resolved = await bench.launcher.resolve(f"{PUSHED}:1")
    bench.store.push("1", {"x": "other"}, config=config())

    assert resolved == f"{PUSHED}@{digest}"
    assert await bench.launcher.resolve(resolved) == resolved
    assert await bench.launcher.resolve(f"{PUSHED}:1") != resolved


async def test_of_a_processor_that_this_machine_has_not_the_log_tells(tmp_path: Path) -> None:
    bench = Bench(tmp_path, EngineChoice.AUTO)
    bench.push(config(THERE))
    instance_type = "ml.m6g.large" if THERE == "arm64" else "ml.m5.large"

    (await bench.launch(instance_type=instance_type)).kill()

    assert bench.containers() == 1
    assert f"is for linux/{THERE}, and this machine is linux/{HERE}" in bench.log[0]
    assert "emulates that processor" in bench.log[0]


async def test_an_image_that_is_gone_is_not_taken_for_the_runtime(tmp_path: Path) -> None:
    bench = Bench(tmp_path, EngineChoice.PROCESS)

    with pytest.raises(ImageRefusedError):
        await bench.launch(f"{PUSHED}@sha256:{'3' * 64}")

    assert bench.processes.processes == []
    assert "is not there any more" in bench.log[0]
