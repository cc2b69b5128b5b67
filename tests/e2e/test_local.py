"""The local AWS as the command line starts, shows, empties and stops it."""

from __future__ import annotations

import dataclasses
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import Portside, free_port


def test_reset_empties_and_only_the_owner_of_the_keys_may(
    portside: Portside, tmp_path: Path
) -> None:
    project = tmp_path / "shout"
    portside("init", project)
    from_nothing = steps(portside, project)
    portside("deploy", project)
    assert steps(portside, project) != from_nothing
    url = portside("local", "status", "--json").json["url"]

    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{url}/_portside/reset", b"", timeout=30)
    assert len(portside("local", "status", "--json").json["endpoints"]) == 1

    refused = portside.run("local", "reset")
    assert (refused.code, "--yes" in refused.err) == (2, True)

    portside("local", "reset", "--yes")
    assert portside("local", "status", "--json").json["endpoints"] == []
    assert steps(portside, project) == from_nothing


def steps(portside: Portside, project: Path) -> list[str]:
    return [step["id"] for step in portside("plan", project, "--json").json]


def test_a_users_proxies_and_profiles_do_not_matter(portside: Portside, tmp_path: Path) -> None:
    project = tmp_path / "shout"
    broken = tmp_path / "aws-config"
    broken.write_text("not a config\n")
    nobody = f"http://127.0.0.1:{free_port()}"
    unlucky = dataclasses.replace(
        portside,
        environment=portside.environment
        | {
            "http_proxy": nobody,
            "HTTP_PROXY": nobody,
            "AWS_PROFILE": "nobody",
            "AWS_CONFIG_FILE": str(broken),
        },
    )

    unlucky("init", project)

    assert "is InService" in unlucky("deploy", project).out


def test_a_relative_data_folder_is_where_the_user_stands(
    portside: Portside, tmp_path: Path
) -> None:
    port = str(free_port())
    try:
        portside("local", "start", "--data", "here", "--port", port, cwd=tmp_path)
        assert portside("local", "status", "--data", "here", "--json", cwd=tmp_path).json["running"]
    finally:
        portside("local", "stop", "--data", "here", cwd=tmp_path)

    assert (tmp_path / "here" / "keys.json").stat().st_mode & 0o777 == 0o600


def test_other_choices_than_those_of_the_one_that_runs_are_refused(portside: Portside) -> None:
    portside("local", "start")

    assert portside("local", "start").code == 0
    done = portside.run("local", "start", "--region", "eu-west-1")

    assert done.code == 2
    assert "another region" in done.err
    assert "portside local stop" in done.err


@pytest.mark.parametrize("folder", ["/proc/portside", "/sys/portside", "file/below"])
def test_an_unusable_data_folder_is_no_bug(portside: Portside, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()

    done = portside.run("local", "start", "--data", folder, cwd=tmp_path)

    assert done.code == 1
    assert "bug" not in done.err
    assert "hint:" in done.err


def test_the_demo_leaves_what_the_user_deployed(portside: Portside, ner: Path) -> None:
    portside("deploy", ner)

    shown = portside("demo")

    assert "[London](CITY)" in shown.err
    assert portside("status", ner, "--json").json[0]["status"] == "InService"
