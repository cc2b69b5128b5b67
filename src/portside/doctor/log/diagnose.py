"""Read log lines, and what SageMaker says of an endpoint, for the well-known symptoms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from portside.doctor.finding import Finding, ordered
from portside.doctor.log.symptom import SYMPTOMS, Symptom

_LONGEST_LINE: Final = 4096
"""Characters of a line that are looked at, and in a finding far fewer are shown."""

_LONGEST_SHOWN: Final = 160


@dataclass(slots=True)
class _Seen:
    """Where a symptom showed first, and how often it did."""

    symptom: Symptom
    where: str
    line: str
    groups: dict[str, str]
    times: int = 1


def diagnose(lines: Iterable[str], *, where: str = "log") -> tuple[Finding, ...]:
    """What the lines tell of, the worst first; each symptom once, at the line that showed it first.

    One that says only that something is wrong is told where nothing else is found.
    """
    seen: dict[tuple[str, str], _Seen] = {}
    for number, line in enumerate(lines, start=1):
        text = line.rstrip()[:_LONGEST_LINE]
        for symptom in SYMPTOMS:
            found = symptom.pattern.search(text)
            if found is None:
                continue
            groups = {name: value for name, value in found.groupdict().items() if value}
            key = (symptom.name, groups.get("module", groups.get("library", "")))
            if key in seen:
                seen[key].times += 1
            else:
                seen[key] = _Seen(symptom, f"{where}:{number}", text.strip(), groups)
    telling = [each for each in seen.values() if not each.symptom.is_general]
    return ordered(_finding(each) for each in (telling or seen.values()))


def _finding(seen: _Seen) -> Finding:
    symptom = seen.symptom
    cause = symptom.cause
    for name, value in seen.groups.items():
        cause = cause.replace(f"{{{name}}}", value)
    again = f" ({seen.times} times)" if seen.times > 1 else ""
    shown = seen.line if len(seen.line) <= _LONGEST_SHOWN else f"{seen.line[:_LONGEST_SHOWN]}…"
    return Finding(
        severity=symptom.severity,
        check=symptom.name,
        where=seen.where,
        what=f"{cause}{again}: {shown}",
        mend=symptom.mend,
        source=symptom.source,
    )
