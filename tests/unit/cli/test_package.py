"""`portside package` on a project of code alone: where it writes, and what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from portside import config
from portside.cli import application, package
from portside.errors import UsageError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "model").mkdir(parents=True)
    (folder / "model/notes.txt").write_text("mine")
    (folder / "inference.py").write_text("def load_model(d): ...\ndef predict(x, m): ...\n")
    return folder


def test_a_folder_in_use_keeps_what_is_in_it(project: Path):
    target = project / "model/model.tar.gz"

    made = [package.make(config.load(project), target=target) for _ in range(2)]

    # The earlier artifact, which lies in the checkpoint's folder now, is no part of the next.
    assert made[0].digest == made[1].digest
    assert {path.name for path in target.parent.iterdir()} == {"notes.txt", "model.tar.gz"}
    assert (project / "model/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["report.json", "report.html"])
@pytest.mark.parametrize("content", ['{"accuracy": 0.9}', "[1]", "\u2026"])
def test_a_report_of_somebody_else_is_not_replaced(name: str, content: str, project: Path):
    mine = project / name
    mine.write_text(content)

    with pytest.raises(UsageError, match="not one of Portside's") as raised:
        package.make(config.load(project), target=project / "model.tar.gz")

    assert f"`{mine}`" in raised.value.message
    assert "--output" in (raised.value.hint or "")
    assert mine.read_text() == content
    assert not (project / "model.tar.gz").exists()


def test_an_earlier_report_goes_with_its_artifact(project: Path):
    ours = {"schema_version": 1, "artifact": {}, "candidates": []}
    (project / "report.json").write_text(json.dumps(ours))
    (project / "report.html").write_text("<p>int8 chosen</p>")

    package.make(config.load(project), target=project / "model.tar.gz")

    assert not list(project.glob("report.*"))


def test_names_that_are_no_utf_8(project: Path, capfdbinary: pytest.CaptureFixture[bytes]):
    (project / "model" / os.fsdecode(b"m\xff.tmp")).write_text("left out")
    target = os.fsdecode(os.fsencode(project) + b"/\xfe.tar.gz")

    assert application.run(["package", str(project), "--output", target, "--json"]) == 0
    made = json.loads(capfdbinary.readouterr().out)
    assert [left["path"] for left in made["left_out"]] == [r"m\udcff.tmp"]
    assert made["path"].endswith(r"/\udcfe.tar.gz")

    assert application.run(["package", str(project), "--output", target]) == 0
    assert capfdbinary.readouterr().out == os.fsencode(target) + b"\n"
