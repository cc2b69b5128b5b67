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


def test_a_transfer_without_a_rate_yet_shows_none(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "SAY_AFTER_S", 0.0)
    monkeypatch.setattr(output, "SAY_EVERY_S", 0.001)
    said, deadline = "", time.monotonic() + 10

    with output.transfer("pushing", total_bytes=5_000_000) as progress:
        progress(0)
        while "0 B" not in said and time.monotonic() < deadline:
            time.sleep(0.001)
            said += capfd.readouterr().err

    assert "  0 B of 5.0 MB\n" in said


def test_what_a_program_says_stands_below_what_it_is_asked_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with output.relaying("building ner") as say:
        say("building Dockerfile")
        output.relayed("STEP 1/2: FROM [base]")
        say("packing the layers")

    lines = capfd.readouterr().err.splitlines()
    assert lines[:4] == [
        "… building ner",
        "  building Dockerfile",
        "    STEP 1/2: FROM [base]",
        "  packing the layers",
    ]
    assert lines[4].startswith("✓ building ner  ")


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
