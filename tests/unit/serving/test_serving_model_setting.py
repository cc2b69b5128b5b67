"""What is set for multi-model endpoints and for sticky sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside.errors import UsageError
from portside.serving.setting import read_settings


def test_both_are_off_unless_asked_for():
    settings = read_settings(
        [], {"PORTSIDE_MODELS_DIR": "/m", "SAGEMAKER_SESSIONS_EXPIRATION": "5"}
    )
    assert settings.models_dir is None
    assert settings.session_expiration_s is None
    off = read_settings([], {"SAGEMAKER_MULTI_MODEL": "false"})
    assert off.models_dir is None


@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_the_defaults_are_the_platforms(value: str):
    environ = {"SAGEMAKER_MULTI_MODEL": value, "SAGEMAKER_ENABLE_STATEFUL_SESSIONS": value}
    settings = read_settings([], environ)
    assert settings.models_dir == Path("/opt/ml/models")
    assert settings.model_memory_bytes is None
    assert settings.session_expiration_s == 1200


def test_the_environment_sets_them():
    environ = {
        "SAGEMAKER_MULTI_MODEL": "true",
        "PORTSIDE_MODELS_DIR": "/models",
        "PORTSIDE_MODEL_MEMORY_MB": "1.5",
        "SAGEMAKER_ENABLE_STATEFUL_SESSIONS": "true",
        "SAGEMAKER_SESSIONS_EXPIRATION": "60",
    }
    settings = read_settings([], environ)
    assert settings.models_dir == Path("/models")
    assert settings.model_memory_bytes == 1536 * 1024
    assert settings.session_expiration_s == 60


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORTSIDE_MODEL_MEMORY_MB", "much"),
        ("PORTSIDE_MODEL_MEMORY_MB", "-1"),
        ("SAGEMAKER_SESSIONS_EXPIRATION", "0"),
    ],
)
def test_wrong_numbers_are_told_with_their_name(name: str, value: str):
    environ = {"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_ENABLE_STATEFUL_SESSIONS": "true"}
    with pytest.raises(UsageError, match=name):
        read_settings([], environ | {name: value})


def test_an_app_of_the_users_has_its_own_routes_for_models():
    environ = {"SAGEMAKER_MULTI_MODEL": "true", "PORTSIDE_APP": "app:app"}
    assert read_settings([], environ).models_dir is None
