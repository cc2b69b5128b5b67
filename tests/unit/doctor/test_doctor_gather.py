"""What is read of a project's folder, whatever state it is in."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from portside.doctor import table
from portside.doctor.finding import examine
from portside.doctor.project.fact import MemberKind
from portside.doctor.project.gather import gather

HANDLER = "import helper\n\n\ndef predict(data, model):\n    return helper.answer(data)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inference.py").write_text(HANDLER)
    (tmp_path / "helper.py").write_text("raise SystemExit('was imported')\n")
    (tmp_path / "requirements.txt").write_text("scipy==1.0\n")
    return tmp_path


def test_code_is_read_and_not_run(folder: Path) -> None:
    facts = gather(folder)

    assert facts.handler is not None
    assert facts.handler.where == str(folder / "inference.py")
    assert [source.where for source in facts.modules] == [str(folder / "helper.py")]
    assert "helper" in facts.module_names
    assert not facts.requirements_are_used


def test_a_syntax_error_is_told_once_with_its_line(folder: Path) -> None:
    (folder / "inference.py").write_text("import helper\n\ndef predict(:\n")

    found = examine(table.PROJECT, gather(folder))

    errors = [(each.check, each.where) for each in found if each.severity == "error"]
    assert errors == [("handler-syntax", f"{folder / 'inference.py'}:3")]


def test_a_wrong_key_is_told_by_its_path(folder: Path) -> None:
    (folder / "portside.toml").write_text('[endpoint]\nkind = "lambda"\n')

    (refusal,) = gather(folder).refusals

    assert refusal.where == f"{folder / 'portside.toml'}: endpoint.kind"
    assert "serverless" in refusal.mend


def test_requirements_of_training_alone_are_nobodys_business(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch\n")
    (tmp_path / "model").mkdir()

    assert gather(tmp_path).requirements is None


def test_an_empty_folder_has_nothing_to_deploy(tmp_path: Path) -> None:
    (refusal,) = gather(tmp_path).refusals

    assert "neither a model nor" in refusal.what


def test_a_checkpoint_that_cannot_be_packaged_is_told_with_the_way_to_mend_it(
    tmp_path: Path,
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(
        json.dumps({"architectures": ["BertForTokenClassification"]})
    )

    (refusal,) = gather(tmp_path).refusals

    assert refusal.where == str(model)
    assert refusal.mend


def test_an_archive_is_listed_up_to_its_flaw(folder: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        link = tarfile.TarInfo("model/link")
        link.type = tarfile.SYMTYPE
        tar.addfile(tarfile.TarInfo("model/a.onnx"))
        tar.addfile(link)
    (folder / "model.tar.gz").write_bytes(whole.getvalue())
    (folder / "other.tar.gz").write_bytes(b"PK\x03\x04")

    good, bad = gather(folder).archives

    assert [(member.name, member.kind) for member in good.members] == [
        ("model/a.onnx", MemberKind.FILE),
        ("model/link", MemberKind.LINK),
    ]
    assert (good.flaw, bool(bad.flaw)) == ("", True)
