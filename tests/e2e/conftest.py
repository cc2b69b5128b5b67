"""What end-to-end tests share: the command line with a local AWS of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portside:
    """The command line in an environment of its own."""

    environment: dict[str, str]
    data: Path

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> Done:
        """Run a command to its end, whatever it is."""
        done = subprocess.run(
            [sys.executable, "-m", "portside", *map(str, arguments)],
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def __call__(self, *arguments: str | Path, cwd: Path | None = None) -> Done:
        """Run a command that must succeed."""
        done = self.run(*arguments, cwd=cwd)
        assert done.code == 0, f"portside {' '.join(map(str, arguments))}\n{done.out}{done.err}"
        return done

    def client_environment(self) -> dict[str, str]:
        """What `portside local env` gives to any client, and nothing else of AWS's."""
        return self("local", "env", "--json").json


@pytest.fixture
def portside(tmp_path: Path) -> Iterator[Portside]:
    """The command line with a data folder and a port of its own; stopped at the end."""
    data = tmp_path / "local"
    made = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    made |= {
        "PORTSIDE_LOCAL_DATA": str(data),
        "PORTSIDE_LOCAL_PORT": str(free_port()),
        "NO_COLOR": "1",
    }
    command = Portside(environment=made, data=data)
    yield command
    command("local", "stop")


@pytest.fixture
def ner(tmp_path: Path, rampart_model: Path) -> Path:
    """A copy of the example with its model, to deploy and to change."""
    project = tmp_path / "ner"
    (project / "model").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "ner" / "portside.toml", project)
    for file in rampart_model.iterdir():
        shutil.copy(file, project / "model")
    return project


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
