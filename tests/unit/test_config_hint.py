"""Hints to what is meant: a region that is none, a path that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside import config
from portside.config.region import REGIONS, region_hint
from portside.errors import ConfigError


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("us-esat-1", "us-east-1"),
        ("eu-centrl-1", "eu-central-1"),
        ("US-EAST-1", "us-east-1"),
        ("us-east-1a", "us-east-1"),
        ("eu", "eu-central-1"),
        ("moon", "us-east-1"),
    ],
)
def test_a_region_that_is_none_is_answered_with_one_that_is(named: str, meant: str) -> None:
    hint = region_hint(named)

    assert hint is not None
    assert hint.startswith(f"`{named}` is no region")
    assert f"`export AWS_REGION={meant}`" in hint


@pytest.mark.parametrize("region", REGIONS)
def test_of_a_region_nothing_is_said(region: str) -> None:
    assert region_hint(region) is None


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ('[handler]\nfile = "inferense.py"\n', ": is it `inference.py`?"),
        ('[model]\npath = "out/checkpoint_500"\n', ": is it `checkpoint-500`?"),
        ('[model]\npath = "nothing/like/it"\n', ""),
    ],
)
def test_a_path_that_is_not_there_is_answered_with_what_is_called_much_alike(
    tmp_path: Path, settings: str, meant: str
) -> None:
    (tmp_path / "portside.toml").write_text(settings)
    (tmp_path / "inference.py").touch()
    (tmp_path / "out" / "checkpoint-500").mkdir(parents=True)

    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path)

    assert (caught.value.hint or "").endswith(meant or "file")
