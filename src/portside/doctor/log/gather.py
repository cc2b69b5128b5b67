"""Ask for what an endpoint's instances printed, and why SageMaker says that it failed."""

from __future__ import annotations

from typing import Final

from portside import contract
from portside.aws import logs, sagemaker
from portside.aws.session import Session
from portside.doctor.finding import Finding, Severity, ordered
from portside.doctor.log.diagnose import diagnose
from portside.doctor.log.symptom import GENERAL
from portside.errors import PortsideError, RemoteError

LINES: Final = 1000
"""The last ones that are read; what ends an instance stands among them."""

_STREAMS: Final = 5
"""Of the instances that printed last; one that crashes at its start leaves a stream each time."""

STUCK: Final = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
"""States that an endpoint does not leave by itself. BC EndpointStatus."""


def diagnose_endpoint(session: Session, name: str) -> tuple[Finding, ...]:
    """What is wrong with an endpoint, by its FailureReason and the last lines of its log.

    Raises `PortsideError` where there is neither an endpoint nor a log of that name.
    """
    state = sagemaker.describe_endpoint(session, name)
    lines = last_lines(session, name)
    if state is None and lines is None:
        raise PortsideError(
            f"there is no endpoint `{name}`, and no log of one",
            hint="see which endpoints there are: `portside status`",
        )
    reason = state.reason if state else ""
    printed = diagnose(lines or [], where=f"{contract.LOG_GROUP_PREFIX}{name}")
    said = diagnose([reason], where=f"FailureReason of {name}") if reason else ()
    known = {finding.check for finding in printed}
    if printed:
        said = tuple(each for each in said if each.check not in {*known, *GENERAL})
    found = ordered((*said, *printed))
    if state is None or found or state.status not in STUCK:
        return found
    return (_unknown(name, state),)


def _unknown(name: str, state: sagemaker.EndpointState) -> Finding:
    """That it failed, where nobody knows more than SageMaker says."""
    return Finding(
        severity=Severity.ERROR,
        check="endpoint-failed",
        where=f"endpoint {name}",
        what=f"it is {state.status}: {state.reason or 'SageMaker names no reason'}",
        mend=f"read what its instances printed: `portside logs {name}`",
        source="API DescribeEndpoint",
    )


def last_lines(session: Session, name: str) -> list[str] | None:
    """The last lines of an endpoint's log, as words; None where it has none."""
    group = contract.LOG_GROUP_PREFIX + name
    try:
        streams = logs.list_streams(session, group, count=_STREAMS)
        found = logs.tail(session, group, streams=streams, count=LINES)
    except RemoteError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    return [line for each in found for line in logs.readable(each.message).splitlines()]
