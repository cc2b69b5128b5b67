"""Figures for people."""

from __future__ import annotations

import pytest

from portside.artifact.quantity import number, size


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.000_02, "2e-05"),
        (0.0, "0.00"),
        (0.41, "0.41"),
        (7.13, "7.1"),
        (123.4, "123"),
        (12_300, "12,300"),
        (float("inf"), "not a number"),
    ],
)
def test_numbers_have_the_digits_that_make_sense(value: float, expected: str):
    assert number(value) == expected


@pytest.mark.parametrize(
    ("count_bytes", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (543_404_100, "543 MB"),
        (3_200_000_000, "3.2 GB"),
    ],
)
def test_sizes_have_units(count_bytes: int, expected: str):
    assert size(count_bytes) == expected
