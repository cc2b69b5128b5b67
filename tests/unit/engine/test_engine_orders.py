from __future__ import annotations

import pytest

from portside.engine.command import EngineKind
from portside.engine.engine import ContainerState, EngineError, Image
from tests.unit.engine.fake_runner import FakeRunner, state


@pytest.mark.parametrize(
    ("said", "digest"),
    [
        ({"Id": "11", "Digest": "sha256:22"}, "sha256:22"),
        ({"Id": "sha256:11", "RepoDigests": ["registry/a@sha256:33"]}, "sha256:33"),
        ({"Id": "sha256:11", "RepoDigests": []}, "sha256:11"),
    ],
    ids=["podman", "docker, of a registry", "docker, made here"],
)
async def test_an_image_has_the_best_digest_there_is(said: dict[str, object], digest: str) -> None:
    engine = FakeRunner(images={"a": said}).engine()

    assert await engine.find_image("a") == Image(id="sha256:11", digest=digest)


async def test_an_image_that_is_not_held() -> None:
    assert await FakeRunner().engine().find_image("a") is None


async def test_a_network_is_made_where_it_is_missing() -> None:
    runner = FakeRunner(networks={"there"})
    engine = runner.engine()

    await engine.make_network("there")
    await engine.make_network("new")

    assert ("network", "create", "there") not in runner.orders
    assert runner.networks == {"there", "new"}


async def test_how_a_container_fares() -> None:
    made = {"new": state(has_started=False), "full": state(is_out_of_memory=True)}
    engine = FakeRunner(containers=made).engine()

    assert await engine.state("new") == ContainerState(has_started=False, is_out_of_memory=False)
    assert await engine.state("full") == ContainerState(has_started=True, is_out_of_memory=True)
    assert await engine.state("gone") is None


async def test_what_is_gone_needs_no_removal() -> None:
    engine = FakeRunner(refusals={"rm": "No such container: a"}).engine()

    await engine.remove("a")


async def test_a_refusal_is_told_in_the_engine_s_own_last_line() -> None:
    engine = FakeRunner(refusals={"rm": "storage is locked"}).engine()

    with pytest.raises(EngineError, match="could not remove a, b: storage is locked"):
        await engine.remove("a", "b")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (TimeoutError(), "`docker ps` did not end in 30 s"),
        (FileNotFoundError(2, "No such file or directory"), "could not run `/bin/docker`: No such"),
    ],
)
async def test_an_engine_that_is_lost_is_an_error_of_its_own(
    failure: OSError, message: str
) -> None:
    engine = FakeRunner(failures=[failure]).engine(EngineKind.DOCKER)

    with pytest.raises(EngineError, match=message):
        await engine.containers("a=b")
