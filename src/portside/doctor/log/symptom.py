"""How an instance fails in a way that is known, by what it prints or SageMaker says of it.

A symptom's words may name groups of its pattern, as in `{module}`, and where the traceback points
to that ends with the line: `{place}` and `{file}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from portside.doctor.finding import Severity

NOWHERE: Final = {"place": "a file of the code", "file": "FILE"}
"""What stands for the place where no traceback tells one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """What is looked for in a line, what it means, what to do about it, and who says so.

    `is_general` is one that says only that something is wrong: it is told where nothing else is.
    `is_whole` is one that explains its line whole: no other is looked for in it.
    """

    name: str
    pattern: re.Pattern[str]
    cause: str
    mend: str
    source: str
    severity: Severity = Severity.ERROR
    is_general: bool = False
    is_whole: bool = False


def symptom(
    name: str,
    pattern: str,
    *,
    cause: str,
    mend: str,
    source: str,
    severity: Severity = Severity.ERROR,
    is_general: bool = False,
    is_whole: bool = False,
) -> Symptom:
    """With its pattern as text, in which case does not matter."""
    return Symptom(
        name=name,
        pattern=re.compile(pattern, re.IGNORECASE),
        cause=cause,
        mend=mend,
        source=source,
        severity=severity,
        is_general=is_general,
        is_whole=is_whole,
    )
