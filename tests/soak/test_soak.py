"""The soak itself works: a few seconds of it, and a judgment that can find fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak.__main__ import soak
from tests.soak.caller import Tally, is_same
from tests.soak.report import Outcome, judge, make_page
from tests.soak.sample import Sample

REST = Sample(resident_bytes=100_000_000, threads=6, descriptors=17, connections=0)

GOOD = Outcome(
    seconds=10,
    tallies=[Tally(kind="pinging", requests=3, seconds=[0.001, 0.002, 0.05])],
    first=REST,
    samples=[REST] * 10,
    last=REST,
    exit_code=0,
    errors=[],
)


def test_a_short_soak_ends_well(rampart_model: Path, tmp_path: Path):
    outcome = soak(rampart_model, tmp_path / "log.txt", seconds=6, warm_up=0)

    # Too short to tell whether memory grows.
    flat = replace(outcome, samples=[outcome.last] * 10)
    assert judge(flat, most_ping_s=2) == []
    assert "| good |" in make_page(outcome, command="this")


def test_all_well_is_no_fault():
    assert judge(GOOD, most_ping_s=0.1) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"tallies": [Tally(kind="good", requests=1, wrong=["good: another answer"])]}, "another"),
        ({"tallies": [Tally(kind="bad")]}, "no request was made"),
        ({"tallies": [Tally(kind="pinging", requests=1, seconds=[0.2])]}, "ping took 200.0 ms"),
        ({"samples": [REST] * 5 + [replace(REST, resident_bytes=120_000_000)] * 5}, "memory grew"),
        ({"last": replace(REST, threads=7)}, "7 threads are left, 6"),
        ({"last": replace(REST, descriptors=18)}, "18 file descriptors are left, 17"),
        ({"last": replace(REST, connections=1)}, "1 connections are left"),
        ({"exit_code": 1}, "exit code or status 1"),
        ({"errors": [{"message": "it broke"}]}, "in the log: it broke"),
    ],
)
def test_each_fault_is_found(change: dict[str, object], fault: str):
    [found] = judge(replace(GOOD, **change), most_ping_s=0.1)

    assert fault in found


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([{"score": 0.5, "word": "a"}], [{"score": 0.5000001, "word": "a"}], True),
        ([{"score": 0.5, "word": "a"}], [{"score": 0.6, "word": "a"}], False),
        ([{"score": 0.5, "word": "a"}], [{"score": 0.5, "word": "b"}], False),
        ([{"start": 1}], [{"start": 2}], False),
        ([{"start": 1}], [], False),
        ([{"start": 1}], [{"end": 1}], False),
    ],
)
def test_answers_are_the_same_but_for_the_last_digits(one: object, other: object, expected: bool):
    assert is_same(one, other) is expected
