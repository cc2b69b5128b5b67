"""`portside doctor`: what would go wrong, or what went wrong, and how to mend it."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from portside import config
from portside.cli import local_process, output
from portside.doctor import table
from portside.doctor.finding import Finding, Severity, examine, ordered
from portside.doctor.log.diagnose import diagnose
from portside.doctor.machine import gather as machine
from portside.doctor.project import gather as project
from portside.doctor.project.module import LeftBehind, left_behind
from portside.errors import PortsideError, UsageError
from portside.local import DEFAULT_PORT

LOCAL, AWS = "local", "aws"
"""As in `target`, which needs an extra; this command is for those who miss one."""


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--target",
    "where",
    type=click.Choice([LOCAL, AWS]),
    default=LOCAL,
    show_default=True,
    help="What the project will be deployed to.",
)
@click.option("--endpoint", help="Look at the log of this endpoint, not at DIR.")
@click.option("--log", "log_file", metavar="FILE", help="Look at log lines in FILE, `-` for stdin.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, on stdout.")
def command(
    folder: Path, where: str, endpoint: str | None, log_file: str | None, as_json: bool
) -> None:
    """Look for what would go wrong with the project in DIR, on this machine and in the account.

    After it went wrong: `--endpoint NAME` reads the log of an endpoint and why SageMaker says that
    it failed, `--log FILE` lines that were copied from CloudWatch. Exit code 1 if there is an
    error among the findings.

    \b
    Example:
      portside doctor examples/ner
      portside doctor --endpoint ner
    """
    if endpoint is not None and log_file is not None:
        raise UsageError("a log is either an endpoint's or a file's", hint="leave out one of them")
    if log_file is not None:
        findings, looked_at = _file(log_file, folder), f"the log in `{log_file}`"
    elif endpoint is not None:
        findings, looked_at = _endpoint(endpoint, where, folder), f"the endpoint `{endpoint}`"
    else:
        findings, looked_at = _project(folder, where), f"`{folder}`"
    if as_json:
        output.as_json([asdict(finding) for finding in findings])
    else:
        _show(findings, looked_at)
    if any(finding.severity is Severity.ERROR for finding in findings):
        sys.exit(1)


def _file(name: str, folder: Path) -> tuple[Finding, ...]:
    try:
        with click.open_file(name, encoding="utf-8", errors="replace") as lines:
            return diagnose(lines, where="stdin" if name == "-" else name, own=_own(folder))
    except OSError as error:
        raise UsageError(
            f"cannot read the log `{name}`: {error.strerror}",
            hint="name a file of lines that were copied from CloudWatch, or `-` for stdin",
        ) from error


def _endpoint(name: str, where: str, folder: Path) -> tuple[Finding, ...]:
    from portside.cli import target  # noqa: PLC0415 - brings boto3
    from portside.doctor.log.gather import diagnose_endpoint  # noqa: PLC0415 - likewise

    return diagnose_endpoint(target.connect(where), name, own=_own(folder))


def _own(folder: Path) -> dict[str, LeftBehind]:
    """The modules of the project in `folder`, if it is one, that instances do not have."""
    return left_behind(project.gather(folder)) if folder.is_dir() else {}


def _project(folder: Path, where: str) -> tuple[Finding, ...]:
    """Findings of the project, of this machine and, on AWS, of the account."""
    if not folder.is_dir():
        raise UsageError(
            f"cannot look at `{folder}`: it is not a folder",
            hint="name the folder of your project, or of your model",
        )
    found = project.gather(folder)
    local = local_process.find()
    named = os.environ.get(local_process.ENV_PORT, "")
    chosen = int(named) if named.isdecimal() else DEFAULT_PORT
    here = machine.gather(
        folder,
        target=where,
        port=local.running.port if local else chosen,
        is_ours=local is not None,
        environment=os.environ,
        model_bytes=found.model_bytes,
        needs_export=found.needs_export,
    )
    findings = (*examine(table.PROJECT, found), *examine(table.MACHINE, here))
    if where == AWS:
        findings = (*findings, *_account(folder))
    return ordered(findings)


def _account(folder: Path) -> tuple[Finding, ...]:
    from portside.aws.quota import endpoint_quota  # noqa: PLC0415 - brings boto3
    from portside.cli import target  # noqa: PLC0415 - likewise
    from portside.doctor.account import gather as account  # noqa: PLC0415 - likewise

    try:
        wanted = config.load(folder)
    except PortsideError:
        wanted = None  # what is wrong with it is told by the project's own checks
    facts = account.gather(
        lambda: target.connect(AWS), wanted, quota=endpoint_quota, clock=account.aws_time
    )
    return examine(table.ACCOUNT, facts)


def _show(findings: tuple[Finding, ...], looked_at: str) -> None:
    for finding in findings:
        output.finding(
            finding.severity,
            where=finding.where,
            what=finding.what,
            mend=finding.mend,
            source=f"{finding.check}, {finding.source}",
        )
    counts = [
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity in Severity
        if (count := sum(finding.severity is severity for finding in findings))
    ]
    if counts:
        output.note(f"{looked_at}: {', '.join(counts)}")
    else:
        output.done(f"{looked_at}: nothing found")
