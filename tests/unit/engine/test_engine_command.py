from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from portside.engine import command
from portside.engine.command import Confinement, Container, EngineKind

PLAIN = Container(
    name="one",
    image="sha256:1",
    arguments=("serve",),
    hostname="container-0.local",
    host_port=5000,
    container_port=8080,
    read_only_folders={Path("/models/a"): "/opt/ml/model"},
    environment_file=Path("/run/environment"),
    environment_names=(),
    labels={"portside.folder": "/data"},
)


def test_a_container_is_reached_on_this_machine_alone_and_pulled_from_nowhere() -> None:
    assert command.create(EngineKind.DOCKER, PLAIN) == (
        *("create", "--name", "one", "--pull", "never", "--log-driver", "none"),
        *("--hostname", "container-0.local", "--publish", "127.0.0.1:5000:8080"),
        *("--volume", "/models/a:/opt/ml/model:ro,z", "--env-file", "/run/environment"),
        *("--label", "portside.folder=/data", "sha256:1", "serve"),
    )


def test_values_are_named_and_never_told() -> None:
    words = command.create(EngineKind.DOCKER, replace(PLAIN, environment_names=("A", "B")))

    assert words[words.index("--env") :][:4] == ("--env", "A", "--env", "B")


def test_a_limit_of_memory_leaves_no_swap() -> None:
    words = command.create(EngineKind.DOCKER, replace(PLAIN, memory_limit_bytes=64))

    assert words[-6:-2] == ("--memory", "64", "--memory-swap", "64")


@pytest.mark.parametrize(
    ("kind", "own"),
    [(EngineKind.DOCKER, ()), (EngineKind.PODMAN, ("--read-only-tmpfs=false",))],
)
def test_confined_in_each_engine_s_words(kind: EngineKind, own: tuple[str, ...]) -> None:
    words = command.create(kind, replace(PLAIN, confinement=Confinement(uid=7, gid=8)))

    assert words[words.index("--read-only") : -2] == (
        *("--read-only", *own, "--tmpfs", "/tmp:rw,exec,mode=1777", "--ipc", "none"),
        *("--user", "7:8", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
    )


def test_podman_is_told_not_to_wait_before_it_removes() -> None:
    assert command.remove(EngineKind.PODMAN, ("a", "b"))[-4:] == ("--time", "0", "a", "b")
    assert command.remove(EngineKind.DOCKER, ("a",)) == ("rm", "--force", "--volumes", "a")


def test_podman_is_told_of_the_password_s_file_and_that_there_is_no_tls() -> None:
    words = command.pull(EngineKind.PODMAN, "127.0.0.1:1/a@sha256:b", folder=Path("/f"))

    assert words[0] == "pull"
    assert words[2:5] == ("--authfile", "/f/config.json", "--tls-verify=false")
    assert words[-1] == "127.0.0.1:1/a@sha256:b"


def test_docker_finds_its_server_though_its_settings_are_others() -> None:
    words = command.pull(
        EngineKind.DOCKER, "127.0.0.1:1/a@sha256:b", folder=Path("/f"), server="unix:///s"
    )

    assert words[:5] == ("--config", "/f", "--host", "unix:///s", "pull")
