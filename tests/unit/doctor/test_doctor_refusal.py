"""What is refused before a deployment makes anything, and what is only said."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside import config
from portside.cli.doctor_refusal import refuse
from portside.errors import BuildError

SOUND = "def predict(data, model):\n    return data\n"


def check(folder: Path, code: str, *, settings: str = "") -> None:
    (folder / "inference.py").write_text(code)
    (folder / "portside.toml").write_text(settings)
    refuse(config.load(folder), folder)


@pytest.mark.parametrize(
    ("code", "line", "step"),
    [
        ("x = 1\ndef predict(:\n", 2, "python -m py_compile {file}"),
        ("def answer(text): ...\n", 1, "define `load_model(model_dir)`"),
        ("def predict(): ...\n", 1, "define it as `predict(data, model)`"),
        ("def transform_fn(m, d, c, a): ...\ndef input_fn(d, c): ...\n", 1, "keep"),
        (f"from .text import clean\n{SOUND}", 1, "write `from text import clean`"),
    ],
)
def test_code_that_cannot_start_is_refused(tmp_path: Path, code: str, line: int, step: str) -> None:
    with pytest.raises(BuildError) as caught:
        check(tmp_path, code)

    file = tmp_path / "inference.py"
    assert caught.value.message.startswith(f"cannot deploy `{file}:{line}`: ")
    assert step.format(file=file) in (caught.value.hint or "")


@pytest.mark.parametrize(
    "settings",
    [
        '[endpoint]\nenvironment = { PORTSIDE_APP = "inference:app" }\n',
        '[image]\nbase = "pytorch/torchserve:latest"\n',
    ],
)
def test_what_another_server_starts_is_not_ours_to_refuse(tmp_path: Path, settings: str) -> None:
    check(tmp_path, "def app(): ...\n", settings=settings)


@pytest.mark.parametrize("place", [".", "model"])
def test_checkpoints_alone_are_refused_with_the_last_of_them(tmp_path: Path, place: str) -> None:
    for steps in (1500, 500):
        (tmp_path / place / f"checkpoint-{steps}").mkdir(parents=True)

    with pytest.raises(BuildError) as caught:
        refuse(config.load(tmp_path), tmp_path)

    assert "only the checkpoints" in caught.value.message
    assert "checkpoint-1500" in (caught.value.hint or "")


def test_a_model_without_code_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").touch()

    refuse(config.load(tmp_path), tmp_path)


def test_what_may_fail_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "text.py").touch()

    check(tmp_path, f"import text\n{SOUND}")

    assert "`text` is in the project" in capsys.readouterr().err


def test_of_sound_code_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, SOUND)

    assert capsys.readouterr().err == ""
