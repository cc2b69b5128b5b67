from __future__ import annotations

from pathlib import Path

import pytest

from portside.artifact.handler import handler_members
from portside.errors import BuildError


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def names(handler: Path) -> set[str]:
    return {member.name for member in handler_members(handler)}


def test_the_file_becomes_inference_py_whatever_its_name(tmp_path: Path):
    write(tmp_path, {"serve_it.py": "import json"})

    (member,) = handler_members(tmp_path / "serve_it.py")

    assert member.name == "code/inference.py"
    assert member.source.read_text() == "import json"


def test_what_it_imports_from_beside_it_comes_along(tmp_path: Path):
    write(
        tmp_path,
        {
            "inference.py": "import os, words.lists\ndef f():\n    from texts import clean",
            "texts.py": "import spelling",
            "spelling.py": "import texts",
            "words/__init__.py": "",
            "words/lists.py": "import colors",
            "words/names.txt": "Ada",
            "colors.py": "",
            "train.py": "import torch",
        },
    )

    assert names(tmp_path / "inference.py") == {
        "code/inference.py",
        "code/texts.py",
        "code/spelling.py",
        "code/colors.py",
        "code/words/__init__.py",
        "code/words/lists.py",
        "code/words/names.txt",
    }


def test_a_code_folder_comes_whole(tmp_path: Path):
    write(
        tmp_path / "code",
        {"inference.py": "", "table.csv": "", "deep/a.txt": "", "__pycache__/x.pyc": ""},
    )

    assert names(tmp_path / "code/inference.py") == {
        "code/inference.py",
        "code/table.csv",
        "code/deep/a.txt",
    }


def test_two_files_cannot_both_be_inference_py(tmp_path: Path):
    write(tmp_path / "code", {"inference.py": "", "mine.py": ""})

    with pytest.raises(BuildError, match=r"there is another `inference\.py` beside it"):
        handler_members(tmp_path / "code/mine.py")


@pytest.mark.parametrize("text", ["def predict(:", "x = '\0'"])
def test_what_is_not_python_is_found_here(text: str, tmp_path: Path):
    write(tmp_path, {"inference.py": text})

    with pytest.raises(BuildError, match="is not Python") as caught:
        handler_members(tmp_path / "inference.py")

    assert str(tmp_path / "inference.py") in caught.value.message


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(BuildError, match="no such file"):
        handler_members(tmp_path / "inference.py")
