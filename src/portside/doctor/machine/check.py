"""Checks of the machine that the commands run on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from portside.artifact.quantity import size
from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.machine.fact import Machine, Port

LEAST_PYTHON: Final = (3, 11)
NEWEST_PYTHON: Final = (3, 13)
"""The newest that is tried in every release: the project's own classifiers."""

LEAST_FREE_BYTES: Final = 1024**3
_COPIES: Final = 3
"""Of a model: exported, packed, and unpacked for the instance."""

_NEEDED: Final = {"local": ("serve", "local"), "aws": ("local", "build")}
"""Extras by target; boto3 comes with `local`."""


def _python(machine: Machine) -> Iterator[Spot]:
    if not LEAST_PYTHON <= machine.python <= NEWEST_PYTHON:
        version = ".".join(map(str, machine.python))
        yield Spot(
            where=f"Python {version}",
            what="Portside is tried with Python 3.11 to 3.13, and not every wheel has another",
            mend="make an environment with one of them: `python3.12 -m venv .venv`",
        )


def _extras(machine: Machine) -> Iterator[Spot]:
    needed = _NEEDED.get(machine.target, ())
    wanted = (*needed, "export") if machine.needs_export else needed
    for extra in wanted:
        if names := machine.missing.get(extra):
            yield Spot(
                where=f"portside[{extra}]",
                what=f"not installed: {', '.join(f'`{name}`' for name in names)}",
                mend=f"run `pip install 'portside[{extra}]'`",
            )


def _engine(machine: Machine) -> Iterator[Spot]:
    if machine.engine is None and machine.target == "local":
        yield Spot(
            where="docker, podman",
            what=f"instances run as processes, not as containers: {machine.engine_flaw}",
            mend="see with `docker info` or `podman info`; nothing needs mending where processes "
            "do",
        )


def _port(machine: Machine) -> Iterator[Spot]:
    if machine.port_state is Port.TAKEN and machine.target == "local":
        yield Spot(
            where=f"127.0.0.1:{machine.port}",
            what="another program has the local AWS's port; a free one is chosen in its place",
            mend=f"see who it is with `lsof -i :{machine.port}`, or choose one for good: "
            "`export PORTSIDE_LOCAL_PORT=4567`",
        )


def _disk(machine: Machine) -> Iterator[Spot]:
    least = max(LEAST_FREE_BYTES, _COPIES * machine.model_bytes)
    for where, free in (
        ("the project's disk", machine.free_bytes),
        (machine.temporary, machine.free_temporary_bytes),
    ):
        if free < least:
            yield Spot(
                where=where,
                what=f"{size(free)} are free, and packaging and serving this model take up to "
                f"{size(least)}",
                mend="make room, or point `TMPDIR` and `PORTSIDE_LOCAL_DATA` at another disk",
            )


def _proxy(machine: Machine) -> Iterator[Spot]:
    if machine.proxies and not machine.is_loopback_direct and machine.target == "local":
        yield Spot(
            where=machine.proxies[0],
            what="other clients of the local AWS (curl, the AWS CLI) would ask the proxy for "
            "127.0.0.1; Portside itself does not",
            mend="run `export NO_PROXY=127.0.0.1,localhost`",
        )


CHECKS: Final[tuple[Check[Machine], ...]] = (
    Check(
        name="machine-python",
        severity=Severity.WARNING,
        tells="a version of Python that Portside is not tried with",
        source="pyproject.toml",
        look=_python,
    ),
    Check(
        name="machine-extra",
        severity=Severity.ERROR,
        tells="packages are missing that the target, or the export of this model, needs",
        source="pyproject.toml",
        look=_extras,
    ),
    Check(
        name="machine-disk",
        severity=Severity.WARNING,
        tells="little room on the disk",
        source="aws/sagemaker-python-sdk#1956",
        look=_disk,
    ),
    Check(
        name="machine-port",
        severity=Severity.NOTE,
        tells="the local AWS's port is another program's",
        source="docs/reference/local.md",
        look=_port,
    ),
    Check(
        name="machine-engine",
        severity=Severity.NOTE,
        tells="neither docker nor podman works",
        source="docs/reference/local.md",
        look=_engine,
    ),
    Check(
        name="machine-proxy",
        severity=Severity.WARNING,
        tells="a proxy would be asked for 127.0.0.1",
        source="docs/reference/local.md",
        look=_proxy,
    ),
)
