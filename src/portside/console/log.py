"""The lines of an endpoint's log, as they are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.aws.logs import readable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from portside.aws.logs import LogLine

LINES: Final = 200
"""The newest: a page is read, `portside logs` is searched."""

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Colors and cursor moves of terminals. ECMA-48, 5.4."""
_LEVEL: Final = re.compile(r"(CRITICAL|ERROR|WARNING)\b", re.IGNORECASE)
_OWN_SYNTAX: Final = ("{", "[", "%", "?", "-", '"')
"""How the patterns begin that say more than a phrase. CloudWatch Logs User Guide,
"Filter pattern syntax"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """One line; `level` is `error`, `warning` or empty."""

    time: datetime
    stream: str
    text: str
    level: str


def view_lines(lines: Sequence[LogLine]) -> list[LineView]:
    """The lines as words, times in this machine's time zone."""
    return [
        LineView(
            time=line.time.astimezone(),
            stream=line.stream,
            text=(text := _ESCAPES.sub("", readable(line.message))),
            level=_level(text),
        )
        for line in lines
    ]


def pattern_of(typed: str) -> str:
    """CloudWatch's pattern for what was typed: its own syntax as it is, else the phrase."""
    typed = typed.strip()
    if not typed or typed.startswith(_OWN_SYNTAX):
        return typed
    escaped = typed.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _level(text: str) -> str:
    found = _LEVEL.match(text)
    if found is None:
        return ""
    return "warning" if found[1].upper() == "WARNING" else "error"
