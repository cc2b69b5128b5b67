"""Lines of a log as they are shown, and what is looked for."""

from __future__ import annotations

import json

import pytest

from portside.aws.logs import readable
from portside.console.log import pattern_of, view_lines
from tests.unit.console.console_fakes import make_line


@pytest.mark.parametrize(
    ("message", "text", "level"),
    [
        (json.dumps({"level": "ERROR", "message": "broke", "at": 3}), "ERROR broke  at=3", "error"),
        (json.dumps({"level": "WARNING", "message": "slow"}), "WARNING slow", "warning"),
        (json.dumps({"level": "INFO", "message": "ready"}), "INFO ready", ""),
        ("Error: no such file", "Error: no such file", "error"),
        ("errors are none", "errors are none", ""),
        ("\x1b[1;31mred\x1b[0m", "red", ""),
    ],
)
def test_lines(message: str, text: str, level: str) -> None:
    (line,) = view_lines([make_line(message)])

    assert (line.text, line.level) == (text, level)


def test_a_line_that_is_nested_without_end_stays_as_it_is() -> None:
    deep = "[" * 100_000

    assert readable(deep) == deep


@pytest.mark.parametrize(
    ("typed", "pattern"),
    [
        ("", ""),
        ("  ", ""),
        ("exit code 1", '"exit code 1"'),
        ('say "x" \\ y', r'"say \"x\" \\ y"'),
        ("?ERROR ?WARNING", "?ERROR ?WARNING"),
        ('{ $.level = "ERROR" }', '{ $.level = "ERROR" }'),
        ('"as it is"', '"as it is"'),
    ],
)
def test_what_is_typed_is_a_phrase_or_cloudwatchs_own_pattern(typed: str, pattern: str) -> None:
    assert pattern_of(typed) == pattern
