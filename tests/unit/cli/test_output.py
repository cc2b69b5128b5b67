"""Figures for people."""

from __future__ import annotations

import os
import re
import time

import pytest

from portside.cli import output, plan


@pytest.mark.parametrize(
    ("duration_s", "text"), [(0.04, "0.0 s"), (59.96, "60.0 s"), (125, "2 min 5 s")]
)
def test_durations(duration_s: float, text: str) -> None:
    assert output.seconds(duration_s) == text


def test_a_transfer_says_how_far_it_is_where_no_bar_can_be(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "SAY_AFTER_S", 0.0)
    monkeypatch.setattr(output, "SAY_EVERY_S", 0.001)
    said, deadline = "", time.monotonic() + 10

    with output.transfer("pushing", total_bytes=5_000_000) as progress:
        progress(1_500_000)
        progress(500_000)
        while "2.0 MB" not in said and time.monotonic() < deadline:
            time.sleep(0.001)
            said += capfd.readouterr().err

    said += capfd.readouterr().err
    assert re.search(r"  2\.0 MB of 5\.0 MB, .*/s\n", said)
    assert "✓ pushing  5.0 MB in " in said


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
