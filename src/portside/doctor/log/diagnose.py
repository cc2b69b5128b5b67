"""Read log lines, and what SageMaker says of an endpoint, for the well-known symptoms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from portside.doctor.finding import Finding, ordered
from portside.doctor.log.known.table import SYMPTOMS
from portside.doctor.log.symptom import NOWHERE, Symptom
from portside.doctor.project.module import LeftBehind

_LONGEST_LINE: Final = 4096
"""Characters of a line that are looked at, and in a finding far fewer are shown."""

_LONGEST_SHOWN: Final = 160
_BEFORE: Final = 20
"""Characters of it that stand before what tells."""

_FRAME: Final = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_MISSING: Final = "module-missing"

Own: TypeAlias = Mapping[str, LeftBehind]
"""Modules of the project that do not go along, by their first names."""

NOTHING: Final[Own] = {}


class Said(NamedTuple):
    """A line, and the place where whoever reads of it finds it again."""

    where: str
    text: str


@dataclass(slots=True)
class _Seen:
    """Where a symptom showed first, and how often it did."""

    symptom: Symptom
    where: str
    line: str
    groups: dict[str, str]
    times: int = 1


def diagnose(
    lines: Iterable[str], *, where: str = "log", own: Own = NOTHING
) -> tuple[Finding, ...]:
    """What the lines of a file tell of; see `diagnose_said`."""
    said = (Said(f"{where}:{number}", line) for number, line in enumerate(lines, start=1))
    return diagnose_said(said, own=own)


def diagnose_said(
    lines: Iterable[Said], *, endpoint: str = "ENDPOINT", own: Own = NOTHING
) -> tuple[Finding, ...]:
    """What the lines tell of, the worst first; each symptom once, at the line that showed it first.

    One that says only that something is wrong is told where nothing else is found. `endpoint`
    stands in the commands to type, and `own` tells of modules that no index has, because they are
    the project's.
    """
    seen: dict[tuple[str, str], _Seen] = {}
    place = NOWHERE
    for where, line in lines:
        text = line.rstrip()[:_LONGEST_LINE]
        place = _place(text) or place
        for symptom in SYMPTOMS:
            found = symptom.pattern.search(text)
            if found is None:
                continue
            groups = place | {name: value for name, value in found.groupdict().items() if value}
            key = (symptom.name, groups.get("module", groups.get("library", "")))
            if key in seen:
                seen[key].times += 1
            else:
                seen[key] = _Seen(symptom, where, _shown(text, found.start()), groups)
            if symptom.is_whole:
                break
        if not text.startswith((" ", "\t")):
            place = NOWHERE
    telling = [each for each in seen.values() if not each.symptom.is_general]
    return ordered(_finding(each, endpoint, own) for each in (telling or seen.values()))


def _shown(text: str, start: int) -> str:
    """A line, or of a long one the part in which a symptom shows from `start` on."""
    first = 0 if start < _LONGEST_SHOWN // 2 else start - _BEFORE
    part = text[first : first + _LONGEST_SHOWN].strip()
    return f"{'…' if first else ''}{part}{'…' if len(text) > first + _LONGEST_SHOWN else ''}"


def _place(text: str) -> dict[str, str] | None:
    """Where a frame of a traceback points to."""
    found = _FRAME.search(text)
    if found is None:
        return None
    file = found["file"].rpartition("/")[2]
    return {"file": file, "place": f"`{file}`, line {found['line']},"}


def _finding(seen: _Seen, endpoint: str, own: Own) -> Finding:
    symptom = seen.symptom
    cause, mend = symptom.cause, symptom.mend.replace("ENDPOINT", endpoint)
    for name, value in seen.groups.items():
        cause = cause.replace(f"{{{name}}}", value)
        mend = mend.replace(f"{{{name}}}", value)
    module = seen.groups.get("module", "").partition(".")[0]
    if symptom.name == _MISSING and module in own:
        cause, mend = own[module]
    again = f" ({seen.times} times)" if seen.times > 1 else ""
    return Finding(
        severity=symptom.severity,
        check=symptom.name,
        where=seen.where,
        what=f"{cause}{again}: {seen.line}",
        mend=mend,
        source=symptom.source,
    )
