"""What `portside init` writes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portside.cli import application, init


def test_the_handler_refuses_a_wrong_body() -> None:
    module = ModuleType("inference")
    exec(init.HANDLER, vars(module))  # noqa: S102  our own template
    handler: Any = module
    model = handler.load_model("")

    assert handler.predict(["Ada"], model) == ["ADA"]
    wrong: Any
    for wrong in (5, "abc", {"foo": 1}, [1], [{}], None, ["Ada", None]):
        with pytest.raises(handler.BadRequest) as caught:
            handler.predict(wrong, model)
        assert caught.value.status_code == 400
        assert '{"strings": ' in caught.value.message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ".portside/\n"),
        ("", ".portside/\n"),
        ("*.pyc\n", "*.pyc\n.portside/\n"),
        ("*.pyc", "*.pyc\n.portside/\n"),
        ("a\n.portside/\nb\n", "a\n.portside/\nb\n"),
        ("/.portside\n", "/.portside\n"),
    ],
)
def test_what_the_commands_make_is_ignored_once(
    before: str | None, after: str, tmp_path: Path
) -> None:
    file = tmp_path / ".gitignore"
    if before is not None:
        file.write_text(before)

    for _ in range(2):
        assert application.run(["init", str(tmp_path)]) == 0

    assert file.read_text() == after


def test_the_configuration_is_read_back_and_aligned(tmp_path: Path) -> None:
    assert application.run(["init", str(tmp_path / "ner")]) == 0

    text = (tmp_path / "ner" / "portside.toml").read_text()
    beside = [re.search(r" {2,}(?=# )", line) for line in text.splitlines()]
    assert tomllib.loads(text)["name"] == "ner"
    assert len({found.end() for found in beside if found}) == 1
