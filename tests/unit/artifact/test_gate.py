"""The gate, at its edges."""

from __future__ import annotations

import math

import pytest

from portside.artifact.proof.gate import faults
from portside.artifact.proof.proof import Gate, Likeness


def likeness(
    agreement: float, *, f1_before: float | None = None, f1_after: float | None = None
) -> Likeness:
    return Likeness(
        largest_difference=0.1, agreement=agreement, f1_before=f1_before, f1_after=f1_after
    )


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        (likeness(0.995), 0),
        (likeness(0.9949), 1),
        (likeness(math.nan), 1),
        (likeness(1.0, f1_before=50.0, f1_after=49.8), 0),
        (likeness(1.0, f1_before=50.0, f1_after=49.79), 1),
        (likeness(1.0, f1_before=50.0, f1_after=51.0), 0),
        (likeness(1.0, f1_before=50.0, f1_after=math.nan), 1),
        (likeness(0.9, f1_before=50.0, f1_after=10.0), 2),
    ],
)
def test_what_fails_at_the_default_gate(seen: Likeness, count: int):
    assert len(faults(Gate(), seen)) == count


def test_a_fault_says_what_was_found_and_what_was_asked_for():
    [nearly] = faults(Gate(), likeness(0.994999))
    assert nearly == "answers agree to 99.49 %, below the 99.50 % asked for"
    [agreement, f1] = faults(Gate(), likeness(0.9, f1_before=50.0, f1_after=10.0))

    assert agreement == "answers agree to 90.00 %, below the 99.50 % asked for"
    assert f1 == "F1 falls by 40.00 points, from 50.00 to 10.00, and 0.2 are allowed"
