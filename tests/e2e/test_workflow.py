"""The workflow of `portside init --github-actions`: linted, and run as far as needs no AWS."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import ROOT, Portside

PLACE = Path(".github/workflows/portside.yml")
BIN = Path(sys.executable).parent


@pytest.fixture
def repository(portside: Portside, tmp_path: Path) -> Path:
    """A repository with a project in a folder of it."""
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "ml").mkdir()
    portside("init", root / "ml", "--github-actions")
    return root


def parsed(root: Path) -> dict[Any, Any]:
    return yaml.safe_load((root / PLACE).read_text())


@pytest.mark.parametrize("folder", ["", "ml", 'my "best" model'])
def test_actionlint_has_nothing_to_say(portside: Portside, tmp_path: Path, folder: str) -> None:
    (tmp_path / ".git").mkdir()
    portside("init", tmp_path / folder, "--github-actions")
    program = shutil.which("actionlint", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("actionlint is not installed")

    done = subprocess.run(
        [program, "-no-color", str(tmp_path / PLACE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")
    assert parsed(tmp_path)["env"]["PROJECT"] == (folder or ".")


def test_it_runs_for_whatever_changes_what_is_deployed(repository: Path) -> None:
    events = parsed(repository)[True]  # YAML 1.1 takes `on` for a truth value

    for event in ("pull_request", "push"):
        assert events[event]["paths"] == ["ml/**", "!ml/**/*.md", str(PLACE)]
    assert events["push"]["branches"] == ["main"]


def test_keys_are_asked_for_by_the_jobs_that_need_them_alone(repository: Path) -> None:
    workflow = parsed(repository)
    jobs = workflow["jobs"]

    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs["test"]
    for name in ("plan", "deploy"):
        assert jobs[name]["permissions"]["id-token"] == "write"
        assert jobs[name]["needs"] == "test"
    uses = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@v\d+", each) for each in uses)
    assert "cancel-in-progress" in workflow["concurrency"]


def test_its_local_part_runs(portside: Portside, repository: Path) -> None:
    workflow = parsed(repository)
    steps = [step for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    environment = {
        **portside.environment,
        **workflow["env"],
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }

    printed = ""
    for step in steps:
        if step["name"] == "Install":
            continue  # what is tested here is installed already
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=repository,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{step['name']}\n{done.stdout}{done.stderr}"
        printed += done.stdout

    assert steps[0]["name"] == "Install"
    assert '["ADA LOVELACE LIVES IN LONDON"]' in printed


def test_a_workflow_that_was_changed_is_overwritten_only_by_force(
    portside: Portside, repository: Path
) -> None:
    file = repository / PLACE
    written = file.read_text()
    again = portside.run("init", repository / "ml", "--github-actions")
    file.write_text("name: mine\n")

    refused = portside.run("init", repository / "ml", "--github-actions")
    kept = file.read_text()
    forced = portside.run("init", repository / "ml", "--github-actions", "--force")
    alone = portside.run("init", repository / "ml", "--force")

    assert again.code == 0
    assert (refused.code, kept) == (2, "name: mine\n")
    assert "--force" in refused.err
    assert (forced.code, file.read_text()) == (0, written)
    assert alone.code == 2


def test_the_trust_policy_of_the_reference_is_json() -> None:
    text = (ROOT / "docs" / "reference" / "ci.md").read_text()
    policies = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]

    subjects = [
        statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
        for policy in policies
        for statement in policy["Statement"]
    ]
    assert subjects == [
        "repo:OWNER/REPOSITORY:environment:production",
        "repo:OWNER/REPOSITORY:pull_request",
    ]
