"""What each part of the page shows, asked of the account and made into values.

Nothing here fails because CloudWatch does: a part that cannot be told says so itself, and
the others stay. Where the account does not answer at all, a `RemoteError` comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from portside import contract
from portside.aws.metrics import Metric, Point
from portside.console.account import Described, EndpointPage, LogPart, LogQuery
from portside.console.endpoint import EndpointView, view_endpoint
from portside.console.log import LINES, LineView, pattern_of, view_lines
from portside.console.plot import (
    Measured,
    Pulse,
    VariantPlots,
    metrics_of,
    pulse_metrics_of,
    span_until,
    view_plots,
    view_pulse,
)
from portside.console.trial import Answer, AnswerView, Trial, view_answer, view_refusal
from portside.errors import RemoteError

FILTERED: Final = timedelta(days=1)
"""How far back a filter looks: all of a large log would take minutes."""
_NOT_BUILT: Final = {"NotImplementedException", "UnknownOperationException", "UnknownOperation"}
"""What stands in the place of AWS may have no CloudWatch; then there are no metrics, yet."""


class Account(Protocol):
    """Who is asked; `portside.console.account.Account` is the real one."""

    def endpoints(self, *, contains: str, after: str) -> EndpointPage:
        """One page of the endpoints whose name contains a text."""
        ...

    def endpoint(self, name: str) -> Described | None:
        """One endpoint, or None where there is none."""
        ...

    def log(self, endpoint: str, *, query: LogQuery) -> LogPart:
        """The newest lines of an endpoint's log."""
        ...

    def measured(
        self, asked: Sequence[Metric], *, start: datetime, end: datetime
    ) -> dict[Metric, list[Point]]:
        """What CloudWatch has of metrics, minute by minute."""
        ...

    def ask(self, endpoint: str, trial: Trial) -> Answer:
        """Send one request."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """One page of the endpoints, each with its last hour; `following` asks for the next page."""

    endpoints: list[tuple[EndpointView, Pulse | None]]
    contains: str
    following: str | None

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is under way in any of them."""
        return all(endpoint.is_at_rest for endpoint, _ in self.endpoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotsView:
    """The plots of each variant; `error` is why CloudWatch does not tell."""

    variants: list[VariantPlots]
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogView:
    """The newest lines, and what was chosen of them; `error` is why they are not told."""

    lines: list[LineView]
    streams: list[str]
    stream: str
    typed: str
    error: str = ""


def view_list(account: Account, *, contains: str, after: str, now: datetime) -> ListView:
    """One page of the endpoints whose name contains a text."""
    page = account.endpoints(contains=contains, after=after)
    endpoints = [view_endpoint(described) for described in page.endpoints]
    start, end = span_until(now)
    asked = [
        metric
        for endpoint in endpoints
        for variant in endpoint.variants
        for metric in pulse_metrics_of(endpoint.name, variant.name)
    ]
    measured, _ = _measured(account, asked, start=start, end=end)
    return ListView(
        endpoints=[
            (endpoint, view_pulse(measured, endpoint=endpoint.name, start=start))
            for endpoint in endpoints
        ],
        contains=contains,
        following=page.following,
    )


def view_one(account: Account, name: str) -> EndpointView | None:
    """One endpoint, or None where there is none."""
    described = account.endpoint(name)
    return None if described is None else view_endpoint(described)


def view_measured(account: Account, endpoint: EndpointView, *, now: datetime) -> PlotsView:
    """The last hour of each variant."""
    start, end = span_until(now)
    asked = [
        metric
        for variant in endpoint.variants
        for metric in metrics_of(endpoint.name, variant.name)
    ]
    measured, error = _measured(account, asked, start=start, end=end)
    return PlotsView(
        variants=[
            view_plots(
                measured,
                endpoint=endpoint.name,
                variant=variant.name,
                start=start,
                has_cold_starts=variant.is_serverless,
            )
            for variant in endpoint.variants
        ],
        error=error,
    )


def view_log(account: Account, endpoint: str, *, stream: str, typed: str, now: datetime) -> LogView:
    """The newest lines of a stream or of all, of those that match what was typed."""
    query = LogQuery(
        count=LINES,
        stream=stream,
        pattern=pattern_of(typed),
        since_ms=int((now - FILTERED).timestamp() * 1000),
    )
    try:
        part = account.log(endpoint, query=query)
    except RemoteError as error:
        return LogView(lines=[], streams=[], stream=stream, typed=typed, error=error.message)
    return LogView(lines=view_lines(part.lines), streams=part.streams, stream=stream, typed=typed)


def try_request(account: Account, endpoint: str, trial: Trial) -> AnswerView:
    """Send a request; whatever comes of it is to be shown."""
    if len(trial.body) > contract.REALTIME_PAYLOAD_BYTES:
        return view_refusal(
            "Not sent",
            message=f"{len(trial.body):,} bytes are more than SageMaker takes",
            hint=f"send at most {contract.REALTIME_PAYLOAD_BYTES:,}",
        )
    try:
        return view_answer(trial, account.ask(endpoint, trial))
    except RemoteError as error:
        return view_refusal(error.code, message=error.message, hint=error.hint)


def _measured(
    account: Account, asked: Sequence[Metric], *, start: datetime, end: datetime
) -> tuple[Measured, str]:
    """What CloudWatch has, or nothing and why."""
    if not asked:
        return {}, ""
    try:
        return account.measured(asked, start=start, end=end), ""
    except RemoteError as error:
        return {}, "" if error.code in _NOT_BUILT else error.message
