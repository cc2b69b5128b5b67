"""Flags, variables and defaults of the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside.errors import UsageError
from portside.serving.server import Settings, read_settings
from portside.serving.tasks.strategy import AggregationStrategy


@pytest.mark.parametrize("argv", [[], ["serve"]])
def test_defaults_are_the_platforms(argv: list[str]):
    assert read_settings(argv, {}) == Settings(
        model_dir=Path("/opt/ml/model"),
        host="0.0.0.0",  # noqa: S104 - the contract asks for it
        port=8080,
        program=None,
        strategy=AggregationStrategy.AVERAGE,
    )


def test_the_environment_sets_them():
    environ = {
        "SM_MODEL_DIR": "/models/a",
        "PORTSIDE_BIND_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": "9000",
        "SAGEMAKER_PROGRAM": "entry.py",
        "PORTSIDE_AGGREGATION_STRATEGY": "first",
    }

    assert read_settings(["serve"], environ) == Settings(
        model_dir=Path("/models/a"),
        host="127.0.0.1",
        port=9000,
        program="entry.py",
        strategy=AggregationStrategy.FIRST,
    )


def test_flags_win_over_the_environment():
    environ = {
        "SM_MODEL_DIR": "/models/a",
        "PORTSIDE_BIND_HOST": "::1",
        "SAGEMAKER_BIND_TO_PORT": "9000",
    }
    argv = ["--model-dir", "m", "--host", "127.0.0.1", "--port", "0"]

    settings = read_settings(argv, environ)

    assert (settings.model_dir, settings.host, settings.port) == (Path("m"), "127.0.0.1", 0)


@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.5"])
def test_a_wrong_port_is_told_with_its_key(port: str):
    with pytest.raises(UsageError, match=f"`{port}`") as caught:
        read_settings([], {"SAGEMAKER_BIND_TO_PORT": port})

    assert caught.value.hint
    assert "SAGEMAKER_BIND_TO_PORT" in caught.value.hint


def test_a_wrong_strategy_is_told_with_the_right_ones():
    with pytest.raises(UsageError, match="`best`") as caught:
        read_settings([], {"PORTSIDE_AGGREGATION_STRATEGY": "best"})

    assert caught.value.hint
    assert "`simple`" in caught.value.hint


def test_a_wrong_word_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        read_settings(["train"], {})

    assert caught.value.code == 2
    assert "train" in capsys.readouterr().err
