"""The commands that messages name run as they are printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside.cli import existing
from portside.cli.next_command import complete, completed
from portside.errors import DeployError, UsageError

NER = Path("examples/ner")


@pytest.mark.parametrize(
    ("text", "folder", "where", "expected"),
    [
        ("run `portside deploy`", Path(), None, "run `portside deploy`"),
        ("run `portside deploy`", NER, None, "run `portside deploy examples/ner`"),
        ("run `portside deploy`", NER, "aws", "run `portside deploy examples/ner --target aws`"),
        (
            "`portside deploy`, or `portside rollback --list`",
            Path("my model"),
            None,
            "`portside deploy 'my model'`, or `portside rollback --list 'my model'`",
        ),
        ("`portside rollback examples/ner/a`", NER, None, "`portside rollback examples/ner/a`"),
        ("`portside logs ner`", NER, "aws", "`portside logs ner --target aws`"),
        ("`portside logs ner --target aws`", NER, "aws", "`portside logs ner --target aws`"),
        ("`portside destroy`", None, "aws", "`portside destroy --target aws`"),
        ("`portside invoke --help`", NER, "aws", "`portside invoke --help`"),
        ("`portside rollback DIR`", NER, "aws", "`portside rollback DIR`"),
        ("`portside local start`", NER, "aws", "`portside local start`"),
        ("set `portside.toml`", NER, "aws", "set `portside.toml`"),
    ],
)
def test_a_command_gets_the_folder_and_the_target(
    text: str, folder: Path | None, where: str | None, expected: str
) -> None:
    assert complete(text, folder, where=where) == expected


def test_hints_of_errors_are_completed() -> None:
    with pytest.raises(DeployError) as caught, completed(NER, where="aws"):
        raise DeployError("it broke", hint="run `portside deploy`")

    assert caught.value.hint == "run `portside deploy examples/ner --target aws`"


def test_a_folder_without_a_project_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "shout").mkdir()
    (tmp_path / "shout" / "portside.toml").touch()

    with pytest.raises(UsageError, match="cannot find a project in") as caught:
        existing.load(tmp_path, command="portside rollback", where="aws")

    assert caught.value.hint == (
        f"name its folder: `portside rollback {tmp_path / 'shout'} --target aws`"
    )
    with pytest.raises(UsageError) as caught:
        existing.load(tmp_path / "shout" / "..", command="portside status", where=None)
    assert "`portside status " in (caught.value.hint or "")


@pytest.mark.parametrize("sign", ["portside.toml", "pyproject.toml", "inference.py", "model"])
def test_any_sign_of_a_project_will_do(sign: str, tmp_path: Path) -> None:
    (tmp_path / sign).mkdir() if sign == "model" else (tmp_path / sign).touch()

    assert existing.load(tmp_path, command="portside status", where=None).root == tmp_path
