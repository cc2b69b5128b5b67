"""The example trains for real, and what it leaves is a checkpoint that Portside reads."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from portside import config
from portside.artifact.folder.architecture import Task
from portside.artifact.folder.checkpoint import read_checkpoint
from tests.integration.encoder import fetch_encoder

pytest.importorskip("accelerate", reason="training needs examples/ner/requirements.txt")
pytest.importorskip("seqeval", reason="training needs examples/ner/requirements.txt")

EXAMPLE = Path(__file__).parents[2] / "examples" / "ner"
TYPES = ("location", "organization", "person")


@pytest.fixture(scope="module", autouse=True)
def pretrained() -> None:
    """The encoder to start from, fetched once; skips where it cannot be."""
    fetch_encoder()


def command(*options: str) -> list[str]:
    return [sys.executable, str(EXAMPLE / "train.py"), *options]


def run(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*options), cwd=cwd, capture_output=True, text=True, check=False, timeout=240
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_epoch_leaves_a_project_to_deploy(tmp_path: Path) -> None:
    done = run("--epochs", "1", "--output", "ner", "--data-license", "CC0", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "48 sentences to learn from, 12 to score on" in done.stdout
    assert "epoch 1 of 1: train loss" in done.stderr
    assert "next: portside deploy ner" in done.stdout
    assert names(tmp_path) == ["ner"]

    project = config.load(tmp_path / "ner")
    assert (project.name, project.model) == ("ner", tmp_path / "ner" / "model")
    checkpoint = read_checkpoint(tmp_path / "ner" / "model", has_handler=False)
    assert checkpoint.task is Task.TOKEN_CLASSIFICATION
    assert checkpoint.labels == ("O", *(f"{mark}-{kind}" for kind in TYPES for mark in "BI"))
    assert {"tokenizer.json", "model.safetensors", "README.md", "curves.svg"} <= {
        str(file.path) for file in checkpoint.files
    }
    sentences = (EXAMPLE / "sentences.conll").read_text(encoding="utf-8").strip().split("\n\n")
    samples = (tmp_path / "ner" / "samples.conll").read_text(encoding="utf-8")
    assert samples.strip().split("\n\n") == sentences[4::5], "those that were scored on"
    card = (tmp_path / "ner" / "model" / "README.md").read_text(encoding="utf-8")
    assert all(said in card for said in ("CC0", "| seed | 42 |", "| all types |", *TYPES))
    assert_eight_bits(tmp_path / "ner" / "model" / "model.safetensors")


def assert_eight_bits(weights: Path) -> None:
    """Every row of every linear layer is on a grid of 127 steps either way."""
    tensors = load_file(weights)
    layers = [each for name, each in tensors.items() if each.ndim == 2 and "embed" not in name]
    assert layers
    for layer in layers:
        steps = layer / (np.abs(layer).max(axis=1, keepdims=True) / 127)
        assert np.abs(steps - steps.round()).max() < 1e-3


def test_a_run_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("--output", "ner"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(line.startswith("epoch 1 of") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()

    assert process.returncode == 130
    assert "nothing was written" in said
    assert names(tmp_path) == []


def test_a_run_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("--output", "ner"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("sentences to learn from" in line for line in process.stdout)
        assert [name[:5] for name in names(tmp_path)] == [".ner-"]
        process.terminate()
        _, said = process.communicate()

    assert process.returncode == 130
    assert "nothing was written" in said
    assert names(tmp_path) == []


def test_a_wrong_input_is_told_of_at_once(tmp_path: Path) -> None:
    (tmp_path / "wrong.conll").write_text("Ada B-person\nsleeps\n", encoding="utf-8")

    started = time.monotonic()
    done = run("--train", "wrong.conll", "--output", "ner", cwd=tmp_path)

    assert time.monotonic() - started < 5, "torch need not be loaded for this"
    assert done.returncode == 2
    assert "error: `wrong.conll` line 2: 1 column in place of a word and its label" in done.stderr
    assert names(tmp_path) == ["wrong.conll"]


def test_what_was_trained_before_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ner").mkdir()

    done = run("--output", "ner", cwd=tmp_path)

    assert done.returncode == 2
    assert "`ner` is there already" in done.stderr
    assert names(tmp_path / "ner") == []
