"""Checks for what is nobody else's business, in files and in texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from portside.archive import Member
from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.project.fact import Project
from portside.errors import BuildError
from portside.image.check import check_secrets

_SECRETS: Final = (
    ("an AWS access key", re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a token of Hugging Face's", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    ("a token of GitHub's", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{40,}")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
)


def _secret_files(project: Project) -> Iterator[Spot]:
    for where, path in project.code_files.items():
        try:
            check_secrets([Member(name=path.name, source=path)])
        except BuildError as error:
            yield Spot(
                where=where,
                what="it looks like a secret, and goes along with the code",
                mend=error.hint or "move it out of the folder",
            )


def _secret_texts(project: Project) -> Iterator[Spot]:
    for source in filter(None, (project.handler, *project.modules)):
        for number, line in enumerate(source.text.splitlines(), start=1):
            for kind, pattern in _SECRETS:
                if pattern.search(line):
                    yield _secret(f"{source.where}:{number}", kind)
    for endpoint in project.endpoints:
        for name, value in endpoint.settings.environment.items():
            for kind, pattern in _SECRETS:
                if pattern.search(value):
                    yield _secret(f"{endpoint.where}.environment.{name}", kind)


def _secret(where: str, kind: str) -> Spot:
    return Spot(
        where=where,
        what=f"{kind} stands here, for all who can read the artifact or describe the Model",
        mend="revoke it, keep a new one in AWS Secrets Manager, and let the endpoint's role read "
        "it",
    )


CHECKS: Final[tuple[Check[Project], ...]] = (
    Check(
        name="secret-file",
        severity=Severity.ERROR,
        tells="a file beside the code looks like a secret",
        source="docs/reference/build.md",
        look=_secret_files,
    ),
    Check(
        name="secret-text",
        severity=Severity.ERROR,
        tells="a key or token stands in the code or in the endpoint's environment",
        source="DG data-protection",
        look=_secret_texts,
    ),
)
