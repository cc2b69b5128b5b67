"""`portside build` where it cannot begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside.cli.application import run

CODE = "def predict(data, model): ...\n"


@pytest.mark.parametrize(
    ("options", "exit_code", "said"),
    [
        (["--push", "r.example/a:1", "--output", "x"], 2, "either pushed or written to files"),
        (["--format", "oci"], 2, "add `--output PATH`"),
        (["--push", f"r.example/a@sha256:{'0' * 64}"], 2, "--push r.example/a`"),
        (["--push", "r.example/a:1", "--target", "aws"], 2, "nothing is pushed to ECR"),
        (["--target", "local"], 2, "nothing is pushed to ECR"),
        (["--push", "a:1"], 1, "write REGISTRY/REPOSITORY:TAG"),
        (["--platform", "windows/amd64"], 2, "linux/arm64"),
        (["--base", "./nowhere.tar"], 1, "there is no base `./nowhere.tar`"),
        (["--model-in-image"], 1, "there is no model"),
    ],
)
def test_a_wrong_option_says_what_to_write(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    exit_code: int,
    said: str,
) -> None:
    (tmp_path / "inference.py").write_text(CODE)

    assert run(["build", str(tmp_path), *options]) == exit_code

    captured = capfd.readouterr()
    assert captured.out == ""
    assert said in " ".join(captured.err.split())


def test_a_folder_with_nothing_to_serve_is_no_image(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", str(tmp_path)]) == 1

    assert "neither a model nor an `inference.py`" in capfd.readouterr().err


def test_a_dockerfile_says_what_is_in_the_image(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Dockerfile").touch()
    (tmp_path / "portside.toml").write_text('[image]\nbuild = "dockerfile"\n')

    assert run(["build", str(tmp_path), "--base", "python:3.12-slim"]) == 2

    assert "leave out `--base`" in " ".join(capfd.readouterr().err.split())
