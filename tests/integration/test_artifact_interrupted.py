"""`portside package` that is stopped, that runs twice at once, and that finds no room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from portside.archive import unpack
from tests.integration.small_disk import mounted

CONFIG = {
    "model_type": "distilbert",
    "architectures": ["DistilBertForTokenClassification"],
    "id2label": {"0": "O", "1": "B-PER"},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkpoint, of which no more than its classifier is there: its export takes seconds."""
    folder = tmp_path / "project"
    (folder / "model").mkdir(parents=True)
    (folder / "model/config.json").write_text(json.dumps(CONFIG))
    (folder / "model/tokenizer.json").write_text("{}")
    weights = {"classifier.weight": np.zeros((2, 768), np.float32)}
    save_file(weights, folder / "model/model.safetensors")
    return folder


def command(project: Path, *options: str | Path) -> list[str]:
    return [sys.executable, "-m", "portside", "package", str(project), *map(str, options)]


def package(project: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(project, *options), capture_output=True, text=True, check=False, timeout=60
    )


def add_handler(project: Path) -> None:
    """Code that answers, so that nothing has to be exported."""
    (project / "inference.py").write_text("def load_model(d): ...\ndef predict(x, m): ...\n")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_run_that_is_stopped_leaves_nothing_that_runs_and_nothing_that_stays(
    number: signal.Signals, code: int, project: Path
):
    made = project / ".portside"
    made.mkdir()
    (made / "model.tar.gz").write_text("the earlier one")
    with subprocess.Popen(command(project), stderr=subprocess.DEVNULL) as process:
        exporting = wait_for_child(process)
        os.kill(process.pid, number)

    assert process.returncode == code
    assert psutil.wait_procs([exporting], timeout=10)[1] == []
    assert (made / "model.tar.gz").read_text() == "the earlier one"
    if number != signal.SIGKILL:
        assert names(made) == ["model.tar.gz"]

    # The next run has other settings: it looks for nothing of this one's by name.
    add_handler(project)
    assert package(project).returncode == 0
    assert names(made) == ["model.tar.gz"]
    unpack(made / "model.tar.gz", project / "unpacked")


def wait_for_child(process: subprocess.Popen[bytes]) -> psutil.Process:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for child in psutil.Process(process.pid).children():
            if "portside.artifact.graph.export_process" in child.cmdline():
                return child
        time.sleep(0.02)
    raise AssertionError("it has not begun to export")


def test_two_at_once_make_the_same(project: Path):
    add_handler(project)
    both = [
        subprocess.Popen(command(project), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]

    assert [process.wait() for process in both] == [0, 0]
    made = project / ".portside"
    assert names(made) == ["model.tar.gz"]
    unpack(made / "model.tar.gz", project / "unpacked")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", size="256k") as disk:
        yield disk


def test_a_full_disk_is_named(project: Path, disk: Path):
    add_handler(project)
    (project / "model/noise").write_bytes(os.urandom(1_000_000))

    done = package(project, "--output", disk / "model.tar.gz")

    assert done.returncode == 1
    said = f"error: could not write `{disk}/model.tar.gz`: the disk `{disk}` is full"
    assert said in done.stderr
    assert f"make room on `{disk}`" in done.stderr
    assert names(disk) == []
