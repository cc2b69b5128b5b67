"""Figures for people."""

from __future__ import annotations

import pytest

from portside.cli import output, plan


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (11_900_000, "11.9 MB"), (3 * 10**9, "3.0 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert output.size(count) == text


@pytest.mark.parametrize(
    ("duration_s", "text"), [(0.04, "0.0 s"), (59.96, "60.0 s"), (125, "2 min 5 s")]
)
def test_durations(duration_s: float, text: str) -> None:
    assert output.seconds(duration_s) == text


def test_digests_are_shortened() -> None:
    assert (
        plan.short(f"s3://b/ner/{'ab' * 32}/model.tar.gz") == "s3://b/ner/ababababab…/model.tar.gz"
    )
