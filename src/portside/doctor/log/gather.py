"""Ask for what an endpoint's instances printed, and why SageMaker says that it failed.

    endpoint, its configs ─▶ since when ─▶ lines of its log ───┐
                         └─▶ FailureReason, longest answer ────┴─▶ symptoms ─▶ findings

Logs outlive deployments and endpoints, so only what was printed since the last deployment is read.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from portside import contract
from portside.aws import logs, metrics, sagemaker
from portside.aws.logs import LogLine
from portside.aws.metrics import Metric
from portside.aws.sagemaker import EndpointState
from portside.aws.session import Session, explained
from portside.doctor.finding import Finding, Severity, ordered
from portside.doctor.log.diagnose import NOTHING, Own, Said, diagnose_said
from portside.doctor.log.known.table import GENERAL, SYMPTOMS
from portside.errors import PortsideError, RemoteError

LINES: Final = 1000
"""The last ones that are read; what ends an instance stands among them."""

_STREAMS: Final = 5
"""Of the instances that printed last; one that crashes at its start leaves a stream each time."""

_MEASURED: Final = timedelta(days=1)
"""How far back the metrics are asked for."""

_ALMOST: Final = 0.99
"""Of the time that SageMaker waits: what it measured of an answer that did not come."""

STUCK: Final = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
"""States that an endpoint does not leave by itself. BC EndpointStatus."""

_SEE_NAMES: Final = "see which endpoints there are: `portside ls`"

_OURS: Final = re.compile(r"-[0-9a-f]{10}")
"""What `deploy.desired` appends to an endpoint's name for that of an EndpointConfig."""


def diagnose_endpoint(session: Session, name: str, *, own: Own = NOTHING) -> tuple[Finding, ...]:
    """What is wrong with an endpoint, by its FailureReason, its log and its metrics.

    Of the log, what was printed since the last deployment. `own` are the modules of the project
    that do not go along. Raises `PortsideError` where there is neither an endpoint nor a log of
    that name.
    """
    if not re.fullmatch(contract.NAME_PATTERN, name):
        raise PortsideError(f"`{name}` cannot be the name of an endpoint", hint=_SEE_NAMES)
    state = sagemaker.describe_endpoint(session, name)
    name = state.name if state else name  # case counts in logs alone
    lines = last_lines(session, name)
    if state is None and lines is None:
        raise PortsideError(
            f"there is no endpoint `{name}`, and no log of one",
            hint=_SEE_NAMES,
        )
    began_at = deployed_at(session, state) if state else 0.0
    said = [line for line in lines or [] if line.time.timestamp() >= began_at]
    printed = diagnose_said(_said(name, said), endpoint=name, own=own)
    reason = _told(state) if state else ()
    if printed:
        known = {finding.check for finding in printed}
        reason = tuple(each for each in reason if each.check not in {*known, *GENERAL})
    found = ordered((*reason, *printed))
    if state is None:
        return found
    if all(finding.check != _TIMED_OUT.name for finding in found):
        found = ordered((*found, *_slow(session, state, since=began_at)))
    return found if found or state.status not in STUCK else (_unknown(name, state),)


def deployed_at(session: Session, state: EndpointState) -> float:
    """When what can be said of an endpoint began, in seconds since 1970.

    A deployment makes its EndpointConfig right before it starts instances, and one that failed
    left a newer one than that in use. Where nothing failed, the older one in use is a rollback.
    """
    made = _configs(session, state)
    newest = max(made, key=lambda name: made[name], default="")
    is_rolled_back = state.status == "InService" and not state.reason
    if newest == state.config_name or not is_rolled_back:
        return made.get(newest, 0.0)
    with explained("sagemaker", "DescribeEndpoint"):
        found = session.sagemaker.describe_endpoint(EndpointName=state.name)
    return found["LastModifiedTime"].timestamp()


def _configs(session: Session, state: EndpointState) -> dict[str, float]:
    """When its EndpointConfigs were made, or that one alone which who asks may look at."""
    try:
        listed = sagemaker.list_endpoint_configs(session, contains=state.name)
    except RemoteError:
        listed = []
    made = {
        config.name: config.created_at
        for config in listed
        if _OURS.fullmatch(config.name.removeprefix(state.name))
    }
    if state.config_name and state.config_name not in made:
        found = sagemaker.describe_endpoint_config(session, state.config_name)
        if found is not None:
            made[state.config_name] = found["CreationTime"].timestamp()
    return made


def last_lines(session: Session, name: str) -> list[LogLine] | None:
    """The last lines of an endpoint's log; None where it has none."""
    group = contract.LOG_GROUP_PREFIX + name
    try:
        streams = logs.list_streams(session, group, count=_STREAMS)
        return logs.tail(session, group, streams=streams, count=LINES)
    except RemoteError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise


def _said(name: str, lines: list[LogLine]) -> list[Said]:
    """The lines as words, each with the place where it is found again."""
    return [
        Said(f"{contract.LOG_GROUP_PREFIX}{name}:{line.stream} {line.time:%H:%M:%S} UTC", text)
        for line in lines
        for text in logs.readable(line.message).splitlines()
    ]


def _told(state: EndpointState) -> tuple[Finding, ...]:
    if not state.reason:
        return ()
    said = Said(f"FailureReason of {state.name}", state.reason)
    return diagnose_said([said], endpoint=state.name)


# --- Answers that did not come ---------------------------------------------------

_TIMED_OUT: Final = next(symptom for symptom in SYMPTOMS if symptom.name == "timed-out")


def _slow(session: Session, state: EndpointState, *, since: float) -> tuple[Finding, ...]:
    """A request that took as long as SageMaker waits: of such no container prints a line."""
    end = datetime.fromtimestamp(time.time(), UTC)
    start = max(datetime.fromtimestamp(since, UTC), end - _MEASURED)
    try:
        config = sagemaker.describe_endpoint_config(session, state.config_name) or {}
        asked = [
            Metric(
                endpoint=state.name,
                variant=variant["VariantName"],
                name="ModelLatency",
                statistic="Maximum",
            )
            for variant in config.get("ProductionVariants", [])
        ]
        measured = metrics.read(session, asked, start=start, end=end)
    except RemoteError:
        return ()  # who may not look at metrics has the log
    longest_s = max((point.value / 1e6 for each in measured.values() for point in each), default=0)
    if longest_s < _ALMOST * contract.INVOCATION_TIMEOUT_S:
        return ()
    return (
        Finding(
            severity=_TIMED_OUT.severity,
            check=_TIMED_OUT.name,
            where=f"ModelLatency of {state.name}",
            what=f"{_TIMED_OUT.cause}: the longest took {longest_s:.0f} s",
            mend=_TIMED_OUT.mend,
            source=_TIMED_OUT.source,
        ),
    )


def _unknown(name: str, state: EndpointState) -> Finding:
    """That it failed, where nobody knows more than SageMaker says."""
    return Finding(
        severity=Severity.ERROR,
        check="endpoint-failed",
        where=f"endpoint {name}",
        what=f"it is {state.status}: {state.reason or 'SageMaker names no reason'}",
        mend=f"read what its instances printed: `portside logs {name}`",
        source="API DescribeEndpoint",
    )
