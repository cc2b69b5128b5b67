"""What the doctor finds, and the checks that find it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

F = TypeVar("F")


class Severity(StrEnum):
    """How bad it is; the worst comes first."""

    ERROR = "error"
    """It cannot work."""
    WARNING = "warning"
    """It works at times, or costs more than it needs to."""
    NOTE = "note"
    """Good to know."""


_ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a check found something: the place, what is there, and the next step.

    `where` is `file:line`, the path of a key in `portside.toml`, or a resource.
    """

    where: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A spot with how bad it is, the check that found it, and who says so."""

    severity: Severity
    check: str
    where: str
    what: str
    mend: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[F]):
    """One thing to look at in facts of type `F`.

    `tells` is a line for the reference; `source` is a page of AWS's documentation (DG: the
    developer guide), or a public issue as `owner/repository#number`.
    """

    name: str
    severity: Severity
    tells: str
    source: str
    look: Callable[[F], Iterable[Spot]]

    def findings(self, facts: F) -> tuple[Finding, ...]:
        """Everything that it finds."""
        return tuple(
            Finding(
                severity=self.severity,
                check=self.name,
                where=spot.where,
                what=spot.what,
                mend=spot.mend,
                source=self.source,
            )
            for spot in self.look(facts)
        )


def examine(checks: Iterable[Check[F]], facts: F) -> tuple[Finding, ...]:
    """What all the checks find, the worst first, otherwise in the order of the checks."""
    return ordered(finding for check in checks for finding in check.findings(facts))


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first; equals stay in their order."""
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))
