from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from portside.engine.command import EngineKind
from portside.engine.engine import Engine, EngineError
from portside.errors import MissingToolError
from portside.local.instance.container import ContainerLauncher
from portside.local.instance.instance import InstanceSpec
from portside.local.instance.runtime_image import ImageMissingError
from portside.local.log.log_store import LogStore
from tests.unit.engine.fake_runner import FakeRunner, state
from tests.unit.local.state_fakes import REGION, FakeClock

REPOSITORY = f"000000000000.dkr.ecr.{REGION}.amazonaws.com/mine"
IMAGE = f"{REPOSITORY}:1"
DIGEST = f"sha256:{'2' * 64}"
NAME = "portside-i-1"
MIB = 1024 * 1024


class Bench:
    """A launcher over an engine in memory."""

    def __init__(self, folder: Path) -> None:
        self.runner = FakeRunner(images={IMAGE: {"Id": "11", "Digest": DIGEST}})
        self.engines: dict[EngineKind, Engine] = {EngineKind.PODMAN: self.runner.engine()}
        self.searches: list[tuple[EngineKind, ...]] = []
        self.folder = folder / "containers"
        self.logs = LogStore(folder / "logs")
        model = folder / "model"
        model.mkdir(mode=0o700)
        (model / "weights").touch(mode=0o600)
        (model / "tool").touch(mode=0o700)
        self.launcher = self.new_life()
        self.spec = InstanceSpec(
            instance_id="i-1",
            image=IMAGE,
            environment={},
            model_dir=model,
            region=REGION,
            log_group="group",
            log_stream="stream",
        )

    def new_life(self) -> ContainerLauncher:
        return ContainerLauncher(
            folder=self.folder,
            kinds=tuple(EngineKind),
            find=self.find,
            logs=self.logs,
            clock=FakeClock(),
        )

    async def find(self, kinds: tuple[EngineKind, ...]) -> Engine:
        self.searches.append(kinds)
        for kind in kinds:
            if kind in self.engines:
                return self.engines[kind]
        raise MissingToolError("there is none")

    def log(self) -> list[str]:
        if not self.logs.has_stream("group", "stream"):
            return []
        return [event.message for event in self.logs.events("group", "stream")]

    def created(self) -> tuple[str, ...]:
        return self.runner.told("create")[-1]

    def folders(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*/*"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_an_image_is_shown_with_the_digest_that_the_engine_knows(bench: Bench) -> None:
    assert await bench.launcher.resolve(IMAGE) == f"{REPOSITORY}@{DIGEST}"


async def test_an_image_is_found_by_its_digest_alone_too(bench: Bench) -> None:
    bench.runner.images[DIGEST] = bench.runner.images.pop(IMAGE)

    assert await bench.launcher.resolve(f"{REPOSITORY}@{DIGEST}") == f"{REPOSITORY}@{DIGEST}"


async def test_an_image_is_missing_that_the_engine_does_not_hold(bench: Bench) -> None:
    with pytest.raises(ImageMissingError):
        await bench.launcher.resolve(f"{REPOSITORY}:2")


async def test_an_image_is_missing_where_there_is_no_engine_yet(bench: Bench) -> None:
    engines = dict(bench.engines)
    bench.engines.clear()
    with pytest.raises(ImageMissingError):
        await bench.launcher.resolve(IMAGE)

    bench.engines.update(engines)

    assert await bench.launcher.resolve(IMAGE)


async def test_a_container_is_started_as_sagemaker_would(bench: Bench) -> None:
    process = await bench.launcher.launch(bench.spec)

    words = " ".join(bench.created())
    assert f"--name {NAME}" in words
    assert f"--publish 127.0.0.1:{process.port}:8080" in words
    assert f"--volume {bench.spec.model_dir}:/opt/ml/model:ro,z" in words
    assert "--hostname container-0.local" in words
    assert f"--label portside.folder={bench.folder}" in words
    assert "--network sagemaker-local" in words
    assert "--memory" not in words
    assert "--read-only" not in words
    assert words.endswith(" sha256:11 serve")
    assert bench.runner.orders[-1] == ("start", "--attach", NAME)
    assert process.is_alive
    process.kill()
    await process.wait()


async def test_the_environment_is_told_where_nobody_else_reads_it(bench: Bench) -> None:
    plain = {"A": "a=b c", "EMPTY": "", "PATH": "/usr/bin:/bin"}
    odd = {"LINES": "a\nsecret", "QUOTED": '"x"', "SPACED": " x", "MARKED": "x #y"}

    process = await bench.launcher.launch(replace(bench.spec, environment=plain | odd))

    assert bench.runner.env_files == [f"AWS_REGION={REGION}\nA=a=b c\nEMPTY=\nPATH=/usr/bin:/bin\n"]
    index = bench.runner.orders.index(bench.created())
    assert bench.runner.environments[index] == odd
    assert not any("secret" in word or '"x"' in word for word in bench.created())
    assert not list(bench.folder.rglob("environment"))
    process.kill()
    await process.wait()


async def test_any_user_of_a_container_may_read_the_model(bench: Bench) -> None:
    process = await bench.launcher.launch(bench.spec)

    model = bench.spec.model_dir
    modes = {path.name: path.stat().st_mode & 0o777 for path in (model, *model.iterdir())}
    assert modes == {"model": 0o755, "weights": 0o644, "tool": 0o755}
    process.kill()
    await process.wait()


async def test_its_output_is_kept_and_its_end_told(bench: Bench) -> None:
    process = await bench.launcher.launch(bench.spec)

    bench.runner.attached[0].exit(3, b"one", b"two")

    assert await process.wait() == 3
    assert not process.is_alive
    assert bench.log() == ["one", "two", "The container exited with code 3"]
    assert bench.runner.containers == {}
    assert bench.runner.attached[0].is_closed
    assert bench.folders() == []


@pytest.mark.parametrize(
    ("is_seen", "words"),
    [
        (True, "it went over its memory limit of 64 MB"),
        (False, "it was killed, most likely because it went over its memory limit of 64 MB"),
    ],
)
async def test_an_end_for_memory_is_told(bench: Bench, *, is_seen: bool, words: str) -> None:
    process = await bench.launcher.launch(replace(bench.spec, memory_limit_bytes=64 * MIB))
    bench.runner.containers[NAME] = state(is_out_of_memory=is_seen)

    bench.runner.attached[0].exit(137)
    await process.wait()

    assert f"--memory {64 * MIB}" in " ".join(bench.created())
    assert bench.log() == [f"The container exited with code 137: {words}"]


async def test_who_was_told_to_end_needs_no_last_words(bench: Bench) -> None:
    process = await bench.launcher.launch(bench.spec)

    process.terminate()
    await process.wait()
    process.kill()

    assert bench.runner.attached[0].signals == [signal.SIGTERM]
    assert bench.log() == []


async def test_a_container_outlives_the_program_that_reads_it_for_no_time(bench: Bench) -> None:
    process = await bench.launcher.launch(bench.spec)

    bench.runner.attached[0].exit(-signal.SIGKILL)
    await process.wait()

    assert bench.runner.containers == {}
    assert bench.log()[-1].startswith("The container was ended: the engine's program")


async def test_confined_as_on_serverless(bench: Bench) -> None:
    process = await bench.launcher.launch(replace(bench.spec, is_confined=True))

    assert "--user 993:990" in " ".join(bench.created())
    assert "USER=sbx_user1051\n" in bench.runner.env_files[0]
    process.kill()
    await process.wait()


async def test_a_limit_that_cannot_be_kept_is_said_and_not_asked_for(bench: Bench) -> None:
    bench.engines[EngineKind.PODMAN] = bench.runner.engine(limits_memory=False)

    process = await bench.launcher.launch(replace(bench.spec, memory_limit_bytes=64 * MIB))

    assert "--memory" not in bench.created()
    (said,) = bench.log()
    assert said.startswith("Portside could not limit the memory of this instance: podman 1.2")
    process.kill()
    await process.wait()


async def test_without_the_network_where_it_cannot_be_made(bench: Bench) -> None:
    bench.runner.refusals["network create"] = "no bridges here"

    process = await bench.launcher.launch(bench.spec)

    assert "--network" not in bench.created()
    (said,) = bench.log()
    assert said.startswith("Portside could not put this instance into the network sagemaker-local")
    assert said.endswith("no bridges here")
    process.kill()
    await process.wait()


@pytest.mark.parametrize(
    ("complaint", "is_kept"),
    [
        (b"Error: netavark: iptables: no such file", False),
        (b"Error: exec: /nope: no such file", True),
        (b"Error response from daemon: listen tcp4: bind: address already in use", True),
    ],
)
async def test_the_network_is_given_up_when_it_is_to_blame(
    bench: Bench, *, complaint: bytes, is_kept: bool
) -> None:
    first = await bench.launcher.launch(bench.spec)
    bench.runner.containers[NAME] = state(has_started=False)
    bench.runner.attached[0].exit(126, complaint)
    await first.wait()

    second = await bench.launcher.launch(bench.spec)

    assert ("--network" in bench.created()) == is_kept
    assert "The container could not be started: the reason stands above" in bench.log()
    second.kill()
    await second.wait()


async def test_a_refusal_stands_in_the_log_and_leaves_nothing(bench: Bench) -> None:
    bench.runner.refusals["create"] = "no space left"

    with pytest.raises(EngineError):
        await bench.launcher.launch(bench.spec)

    assert bench.log() == ["The container could not be started: podman create: no space left"]
    assert bench.folders() == []


async def test_an_image_that_was_removed_meanwhile_is_told_of(bench: Bench) -> None:
    bench.runner.images.clear()

    with pytest.raises(EngineError):
        await bench.launcher.launch(bench.spec)

    (said,) = bench.log()
    assert said == f"The container could not be started: podman 1.2 does not hold {IMAGE} any more"


async def test_no_two_containers_are_given_the_same_port(bench: Bench) -> None:
    specs = [replace(bench.spec, instance_id=f"i-{number}") for number in range(20)]

    started = await asyncio.gather(*(bench.launcher.launch(spec) for spec in specs))

    assert len({each.port for each in started}) == 20
    for each in started:
        each.kill()
        await each.wait()


async def test_what_cannot_be_removed_is_left_to_the_next_life(bench: Bench) -> None:
    process = await bench.launcher.launch(bench.spec)
    bench.runner.refusals["rm"] = "storage is locked"
    process.kill()
    await process.wait()
    assert bench.folders() == ["i-1"]

    bench.runner.refusals.clear()
    bench.launcher = bench.new_life()
    bench.launcher.kill_leftovers()
    again = await bench.launcher.launch(replace(bench.spec, instance_id="i-2"))

    assert list(bench.runner.containers) == ["portside-i-2"]
    assert bench.folders() == ["i-2"]
    again.kill()
    await again.wait()


async def test_nothing_is_asked_where_nothing_was_left(bench: Bench) -> None:
    bench.launcher.kill_leftovers()
    await asyncio.sleep(0)

    assert bench.searches == []
