"""Flags, variables and defaults of the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside.errors import UsageError
from portside.serving.batcher import QueueLimit
from portside.serving.setting import Settings, read_settings
from portside.serving.tasks.strategy import AggregationStrategy


@pytest.mark.parametrize("argv", [[], ["serve"]])
def test_defaults_are_the_platforms(argv: list[str]):
    assert read_settings(argv, {}) == Settings(
        model_dir=Path("/opt/ml/model"),
        host="0.0.0.0",  # noqa: S104 - the contract asks for it
        port=8080,
        program=None,
        app=None,
        strategy=AggregationStrategy.AVERAGE,
        default_accept=None,
        threads=1,
        max_body_bytes=25 * 1024 * 1024,
        queue=QueueLimit(requests=1024, timeout_s=60.0, stream_timeout_s=480.0),
        models_dir=None,
        model_memory_bytes=None,
        session_expiration_s=None,
    )


def test_the_environment_sets_them():
    environ = {
        "SM_MODEL_DIR": "/models/a",
        "PORTSIDE_BIND_HOST": "127.0.0.1",
        "SAGEMAKER_BIND_TO_PORT": "9000",
        "SAGEMAKER_PROGRAM": "entry.py",
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "6",
        "PORTSIDE_AGGREGATION_STRATEGY": "first",
        "PORTSIDE_APP": "app:app",
        "PORTSIDE_THREADS": "4",
        "PORTSIDE_TIMEOUT_S": "2.5",
        "PORTSIDE_MAX_QUEUE_SIZE": "10",
    }

    assert read_settings(["serve"], environ) == Settings(
        model_dir=Path("/models/a"),
        host="127.0.0.1",
        port=9000,
        program="entry.py",
        app="app:app",
        strategy=AggregationStrategy.FIRST,
        default_accept="text/csv",
        threads=4,
        max_body_bytes=6 * 1024 * 1024,
        queue=QueueLimit(requests=10, timeout_s=2.5),
        models_dir=None,
        model_memory_bytes=None,
        session_expiration_s=None,
    )


def test_an_empty_variable_is_as_good_as_none():
    names = ["SM_MODEL_DIR", "SAGEMAKER_PROGRAM", "PORTSIDE_APP", "PORTSIDE_TIMEOUT_S"]

    assert read_settings([], dict.fromkeys(names, "")) == read_settings([], {})


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORTSIDE_THREADS", "0"),
        ("PORTSIDE_THREADS", "many"),
        ("PORTSIDE_TIMEOUT_S", "0"),
        ("PORTSIDE_TIMEOUT_S", "nan"),
        ("PORTSIDE_TIMEOUT_S", "inf"),
        ("PORTSIDE_MAX_QUEUE_SIZE", "-1"),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "-6"),
    ],
)
def test_a_wrong_number_is_told_with_its_key(name: str, value: str):
    with pytest.raises(UsageError, match=f"`{name}` is `{value}`") as caught:
        read_settings([], {name: value})

    assert caught.value.hint == f"mend or unset `{name}`"


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
