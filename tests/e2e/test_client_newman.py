"""Postman's runner with a collection that signs as the tutorial has it: type AWS Signature."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e import program
from tests.e2e.conftest import DATA, Served

COLLECTION = DATA / "invocation.postman_collection.json"


@pytest.fixture(scope="module")
def newman_program() -> str:
    return program.newman()


def test_a_collection_with_aws_signatures(
    newman_program: str, served: Served, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    environment = {
        "id": "local",
        "name": "local",
        "values": [
            {"key": name, "value": value, "enabled": True}
            for name, value in {**served.variables, "ENDPOINT": served.endpoint}.items()
        ],
    }
    (tmp_path / "environment.json").write_text(json.dumps(environment))

    reporters = ("--reporters", "cli,json", "--reporter-json-export", str(report))
    done = subprocess.run(
        [newman_program, "run", COLLECTION, "--environment", "environment.json", *reporters],
        env=served.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    stats = json.loads(report.read_text())["run"]["stats"]["assertions"]
    assert (stats["total"], stats["failed"]) == (4, 0)
