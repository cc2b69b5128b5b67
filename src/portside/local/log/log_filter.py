"""The filter patterns of CloudWatch Logs for unstructured text.

    error timeout      both words         "exit code 1"   the phrase
    -debug             not the word       ?warn ?error    either word

Case matters, as there. Patterns for JSON (`{…}`), columns (`[…]`) and regular
expressions (`%…%`) are not built. DG FilterAndPatternSyntax of CloudWatch Logs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from portside.local.protocol.fault import Fault
from portside.local.refusal import not_built

if TYPE_CHECKING:
    from collections.abc import Callable

_TERM: Final = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))')


def parse_pattern(pattern: str) -> Callable[[str], bool]:
    """What tells whether a message matches; every message matches an empty pattern."""
    pattern = pattern.strip()
    if pattern[:1] in {"{", "[", "%"}:
        raise not_built("A filter pattern for JSON, columns or regular expressions")
    required: list[str] = []
    excluded: list[str] = []
    optional: list[str] = []
    kinds = {"": required, "-": excluded, "?": optional}
    position = 0
    while position < len(pattern):
        term = _TERM.match(pattern, position)
        if term is None:
            raise Fault("InvalidParameterException", f"Invalid filter pattern: {pattern}")
        sign, phrase, word = term.groups()
        kinds[sign].append(word if phrase is None else re.sub(r"\\(.)", r"\1", phrase))
        position = term.end()
    return lambda message: (
        all(term in message for term in required)
        and not any(term in message for term in excluded)
        and (not optional or any(term in message for term in optional))
    )
