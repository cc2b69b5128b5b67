"""Every check and every symptom: what `docs/reference/doctor.md` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from portside.doctor.account import check as account
from portside.doctor.finding import Check, Severity
from portside.doctor.log.known.table import SYMPTOMS
from portside.doctor.log.symptom import NOWHERE
from portside.doctor.machine import check as machine
from portside.doctor.project import (
    archive,
    artifact,
    behavior,
    dockerfile,
    handler,
    module,
    requirement,
    secret,
)
from portside.doctor.project.fact import Project

PROJECT: Final[tuple[Check[Project], ...]] = (
    *artifact.CHECKS,
    *archive.CHECKS,
    *secret.CHECKS,
    *handler.CHECKS,
    *module.CHECKS,
    *behavior.CHECKS,
    *requirement.CHECKS,
    *dockerfile.CHECKS,
)
CERTAIN: Final = (*handler.CHECKS, module.RELATIVE)
"""Errors in the code with which no instance of Portside's runtime starts."""

MACHINE: Final = machine.CHECKS
ACCOUNT: Final = account.CHECKS


def rows() -> Iterator[tuple[str, Severity, str, str]]:
    """Name, severity, what it tells and its source, of each check."""
    yield from map(_row, PROJECT)
    yield from map(_row, MACHINE)
    yield from map(_row, ACCOUNT)


def _row(check: Check[Any]) -> tuple[str, Severity, str, str]:
    return check.name, check.severity, check.tells, check.source


def symptom_rows() -> Iterator[tuple[str, str, str, str]]:
    """Name, cause, way to mend and source, of each symptom in a log."""
    for symptom in SYMPTOMS:
        words = [symptom.cause, symptom.mend]
        for name, value in NOWHERE.items():
            words = [each.replace(f"{{{name}}}", value) for each in words]
        yield symptom.name, words[0], words[1], symptom.source


def as_markdown() -> str:
    """Both tables, as the reference has them."""
    checks = [f"| `{name}` | {how} | {tells} | {source} |" for name, how, tells, source in rows()]
    symptoms = [
        f"| `{name}` | {cause} | {mend} | {source} |"
        for name, cause, mend, source in symptom_rows()
    ]
    return "\n".join(
        (
            "### Before it happens",
            "",
            "| check | severity | finds | source |",
            "|---|---|---|---|",
            *checks,
            "",
            "### In a log, or in a FailureReason",
            "",
            "| symptom | means | to mend it | source |",
            "|---|---|---|---|",
            *symptoms,
            "",
        )
    )
