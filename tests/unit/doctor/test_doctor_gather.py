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


@pytest.mark.parametrize(
    ("file", "line", "step"),
    [
        ("lib/text.py", "import text", "move it beside"),
        ("src/lib/__init__.py", "from lib import x", "move it beside"),
        ("lib/text.py", "from lib.text import x", "add an empty `{folder}/lib/__init__.py`"),
        (".venv/lib/text.py", "import text", "add a line `text`"),
        ("model/text.py", "import text", "add a line `text`"),
    ],
)
def test_a_module_of_the_project_that_is_not_packed_is_told_with_its_way_along(
    tmp_path: Path, file: str, line: str, step: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    (tmp_path / "inference.py").write_text(f"{line}\n{HANDLER.partition('import helper')[2]}")

    found = examine(table.PROJECT, gather(tmp_path))

    assert step.format(folder=tmp_path) in found[0].mend


def test_packages_and_modules_beside_the_handler_go_along(tmp_path: Path) -> None:
    for file in ("pkg/__init__.py", "pkg/sub/deep.py", "text.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "inference.py").write_text("import pkg.sub, text\n\ndef predict(a, b): ...\n")

    assert examine(table.PROJECT, gather(tmp_path)) == ()


def test_a_syntax_error_is_told_once_with_its_line(folder: Path) -> None:
    (folder / "inference.py").write_text("import helper\n\ndef predict(:\n")

    found = examine(table.PROJECT, gather(folder))

    errors = [(each.check, each.where) for each in found if each.severity == "error"]
    assert errors == [("handler-syntax", f"{folder / 'inference.py'}:3")]


def test_a_syntax_error_beside_the_handler_is_told_where_it_is(folder: Path) -> None:
    (folder / "helper.py").write_text("x = 1\ny = (\n")
    (folder / "requirements.txt").unlink()

    (found,) = examine(table.PROJECT, gather(folder))

    assert (found.check, found.where) == ("handler-syntax", f"{folder / 'helper.py'}:2")
    assert f"python -m py_compile {folder / 'helper.py'}" in found.mend


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


@pytest.mark.parametrize("place", [".", "model"])
def test_of_a_training_the_last_checkpoint_is_named(tmp_path: Path, place: str) -> None:
    for steps in (500, 1500, 1000):
        folder = tmp_path / place / f"checkpoint-{steps}"
        folder.mkdir(parents=True)
        (folder / "config.json").touch()

    (refusal,) = gather(tmp_path).refusals

    assert "only the checkpoints" in refusal.what
    assert f'path = "{Path(place) / "checkpoint-1500"}"' in refusal.mend


@pytest.mark.parametrize(
    ("file", "text", "step"),
    [
        ("app.py", "def predict(data, model): ...", 'file = "app.py"'),
        ("code/inference.py", "def predict_fn(d, m): ...", 'file = "code/inference.py"'),
        ("model.safetensors", "", "put the `config.json`"),
        ("train.py", "def train(): ...", "portside init"),
    ],
)
def test_what_lies_there_all_the_same_is_named(
    tmp_path: Path, file: str, text: str, step: str
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)

    (refusal,) = gather(tmp_path).refusals

    assert step in refusal.mend


def test_a_folder_that_is_called_as_a_file_is_none(folder: Path) -> None:
    (folder / "more.py").mkdir()

    assert [source.where for source in gather(folder).scripts] == [
        str(folder / "helper.py"),
        str(folder / "inference.py"),
    ]


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
