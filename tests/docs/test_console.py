"""Every console block of the documents is run, and prints what it promises."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import Shell, commands, matches

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_BLOCKS = [document for document in DOCUMENTS if any(commands(document))]

THIS_RUN = "make test"
"""The command that runs this very test; the README shows it, and it cannot run itself."""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A reader's environment with a data folder and a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    made |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PORTSIDE_LOCAL_DATA": str(tmp_path / "local"),
        "PORTSIDE_LOCAL_PORT": str(port),
        "NO_COLOR": "1",
        "COLUMNS": "80",
    }
    yield made
    subprocess.run(["portside", "local", "stop"], env=made, check=True, capture_output=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", WITH_BLOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_console_blocks_print_what_they_promise(
    document: Path, environment: dict[str, str]
) -> None:
    shell = Shell(cwd=ROOT, environment=environment)
    try:
        for command in commands(document):
            if command.line == THIS_RUN:
                continue
            printed, code = shell.run(command.line)
            expected = command.expected.replace("4566", environment["PORTSIDE_LOCAL_PORT"])
            assert code == 0, f"$ {command.line}\n{printed}"
            assert matches(expected, printed), f"$ {command.line}\n{printed}"
    finally:
        shell.close()


def test_make_test_runs_these_tests() -> None:
    said = subprocess.run(
        ["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "-m pytest" in said.stdout


def test_a_wrong_promise_is_noticed() -> None:
    assert matches("a … c\n…\nend", "a b c\nx\ny\nend\n")
    assert not matches("a … c", "a b d\n")
    assert not matches("a", "a\nb\n")
