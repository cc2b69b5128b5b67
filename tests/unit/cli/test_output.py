"""Figures for people."""

from __future__ import annotations

import os

import pytest

from portside.cli import output, plan


@pytest.mark.parametrize(
    ("duration_s", "text"), [(0.04, "0.0 s"), (59.96, "60.0 s"), (125, "2 min 5 s")]
)
def test_durations(duration_s: float, text: str) -> None:
    assert output.seconds(duration_s) == text


def test_a_name_that_is_no_utf_8_is_told_and_given_out_in_its_own_bytes(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    name = os.fsdecode(b"m\xffdel.tar.gz")

    output.note(name)
    output.done(name)
    output.failure(name, hint=name)
    output.data(name)

    out, err = capfdbinary.readouterr()
    assert out == b"m\xffdel.tar.gz\n"
    assert err.count(rb"m\udcffdel.tar.gz") == 4


def test_digests_are_shortened() -> None:
    assert (
        plan.short(f"s3://b/ner/{'ab' * 32}/model.tar.gz") == "s3://b/ner/ababababab…/model.tar.gz"
    )
