r"""Patterns of AWS's models, which are Java's, as Python's.

Two things differ that matter: Java's classes of characters (`\p{L}`, `\p{Print}`, …)
are unknown to `re`, and `\w`, `\d`, `\s` mean ASCII in Java. A pattern always has to
match the whole value.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from itertools import groupby
from typing import Final

# java.util.regex.Pattern, "POSIX character classes (US-ASCII only)".
_POSIX_CLASSES: Final = {
    "ASCII": r"\x00-\x7F",
    "Alnum": r"a-zA-Z0-9",
    "Alpha": r"a-zA-Z",
    "Digit": r"0-9",
    "Graph": r"\x21-\x7E",
    "Lower": r"a-z",
    "Print": r"\x20-\x7E",
    "Upper": r"A-Z",
}
_SURROGATES: Final = r"\uD800\uDC00-\uDBFF\uDFFF"
"""How a Java pattern of UTF-16 spells everything beyond U+FFFF."""
_TOKEN: Final = re.compile(r"\\p\{(?P<name>\w+)\}|(?P<escape>\\.)|(?P<bracket>[\[\]])")

_ASSIGNED_END: Final = 0x40000
"""Planes 4 to 13 of Unicode are empty, the last three hold marks and private use."""


def matches(pattern: str, value: str) -> bool:
    """Whether a value satisfies a model's pattern from end to end."""
    return compile_pattern(pattern).fullmatch(value) is not None


@functools.cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A model's pattern for `re`; raises `re.error` for one that makes no sense in Java either."""
    return re.compile(_translate(pattern), re.ASCII)


def _translate(pattern: str) -> str:
    in_brackets = False

    def translate(token: re.Match[str]) -> str:
        nonlocal in_brackets
        if token["bracket"]:
            in_brackets = token["bracket"] == "["
            return token[0]
        if token["name"]:
            members = _members(token["name"])
            return members if in_brackets else f"[{members}]"
        return r"\Z" if token["escape"] == r"\z" else token[0]

    # A dash after a class such as \w cannot begin a range: Java reads it as itself.
    readable = pattern.replace(_SURROGATES, r"\U00010000-\U0010FFFF").replace(r"[\w-", r"[\w\-")
    return _TOKEN.sub(translate, readable)


def _members(name: str) -> str:
    return _POSIX_CLASSES[name] if name in _POSIX_CLASSES else _categories()[name]


@functools.cache
def _categories() -> dict[str, str]:
    """Unicode's major categories (L, M, N, P, S, Z, C) as ranges for a character class."""
    ranges: dict[str, list[str]] = {}
    start = 0
    categories = map(unicodedata.category, map(chr, range(_ASSIGNED_END)))
    for category, group in groupby(categories, lambda name: name[0]):
        stop = start + sum(1 for _ in group)
        ranges.setdefault(category, []).append(f"\\U{start:08X}-\\U{stop - 1:08X}")
        start = stop
    return {category: "".join(parts) for category, parts in ranges.items()}
