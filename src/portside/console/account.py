"""What the page asks of AWS: the only module here that calls anything."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from portside import contract
from portside.aws import logs, metrics, sagemaker
from portside.aws.session import Session, explained
from portside.console.trial import Answer
from portside.errors import RemoteError

if TYPE_CHECKING:
    from portside.console.trial import Trial

PAGE_SIZE: Final = 25
"""Endpoints on one page, ours: each costs two calls."""
_AT_ONCE: Final = 8
"""Calls beside each other; boto3 keeps ten connections."""
_STREAMS: Final = 10
"""Streams that are read together, the newest: 25 GetLogEvents a second are allowed in most regions,
and a log that is followed is read every other second. CloudWatch Logs User Guide, "Quotas"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """AWS's own descriptions of an endpoint, and of its EndpointConfig if that still is."""

    endpoint: dict[str, Any]
    config: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPage:
    """Some endpoints, newest first; `following` asks for the next ones, where there are more."""

    endpoints: list[Described]
    following: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines: of one stream or all, those that match CloudWatch's own filter pattern.

    Only what matches a pattern is looked for from `since_ms` (epoch milliseconds) on.
    """

    count: int
    stream: str = ""
    pattern: str = ""
    since_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """The newest lines of a log, oldest of them first, and the streams that there are."""

    streams: list[str]
    lines: list[logs.LogLine]


class Account:
    """One account in one region, as whom the session signs.

    `place` says in words which it is; without its number if STS does not tell.
    """

    def __init__(self, session: Session, *, name: str) -> None:
        self._session = session
        self._sagemaker, self._runtime = session.sagemaker, session.runtime
        # All clients now and not when first asked for: boto3 makes them in one thread at a
        # time only. Source: boto3 guide, "Session", "Multithreading or multiprocessing".
        _ = session.logs, session.cloudwatch
        try:
            self.place = f"{name} · account {session.account} · {session.region}"
        except RemoteError:
            self.place = f"{name} · {session.region}"

    def endpoints(self, *, contains: str = "", after: str = "") -> EndpointPage:
        """One page of the endpoints whose name contains a text."""
        narrowed: dict[str, Any] = {"NameContains": contains} if contains else {}
        if after:
            narrowed["NextToken"] = after
        with explained("sagemaker", "ListEndpoints"):
            listed = self._sagemaker.list_endpoints(MaxResults=PAGE_SIZE, **narrowed)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            names = (endpoint["EndpointName"] for endpoint in listed["Endpoints"])
            found = list(pool.map(self.endpoint, names))
        return EndpointPage(
            endpoints=[one for one in found if one is not None],  # deleted meanwhile
            following=listed.get("NextToken"),
        )

    def endpoint(self, name: str) -> Described | None:
        """One endpoint, or None where there is none."""
        try:
            with explained("sagemaker", "DescribeEndpoint"):
                endpoint = dict(self._sagemaker.describe_endpoint(EndpointName=name))
        except RemoteError as error:
            if error.code == "ValidationException" and "Could not find" in error.message:
                return None
            raise
        config_name = endpoint.get("EndpointConfigName")
        config = (
            sagemaker.describe_endpoint_config(self._session, str(config_name))
            if config_name
            else None
        )
        return Described(endpoint=endpoint, config=config)

    def log(self, endpoint: str, *, query: LogQuery) -> LogPart:
        """The newest lines of an endpoint's log; none where it has not printed anything yet."""
        group = contract.LOG_GROUP_PREFIX + endpoint
        try:
            streams = logs.list_streams(self._session, group, count=_STREAMS)
            if query.pattern:
                lines = self._matching(group, query)
            else:
                asked = [query.stream] if query.stream else streams
                lines = logs.tail(self._session, group, streams=asked, count=query.count)
        except RemoteError as error:
            if error.code != "ResourceNotFoundException":
                raise
            return LogPart(streams=[], lines=[])
        return LogPart(streams=streams, lines=lines)

    def measured(
        self, asked: Sequence[metrics.Metric], *, start: datetime, end: datetime
    ) -> dict[metrics.Metric, list[metrics.Point]]:
        """What CloudWatch has of metrics, minute by minute."""
        return metrics.read(self._session, asked, start=start, end=end)

    def ask(self, endpoint: str, trial: Trial) -> Answer:
        """Send one request. What the model itself refuses is an answer too, with its status."""
        headers = {"Accept": trial.accept, "TargetVariant": trial.variant}
        began = time.monotonic()
        with explained("sagemaker-runtime", "InvokeEndpoint"):
            try:
                answer = self._runtime.invoke_endpoint(
                    EndpointName=endpoint,
                    Body=trial.body,
                    ContentType=trial.content_type,
                    **{name: value for name, value in headers.items() if value},
                )
                body = answer["Body"].read()
            except self._runtime.exceptions.ModelError as refused:
                return _refusal(dict(refused.response), took_ms=_since_ms(began))
        return Answer(
            status=200,
            body=body,
            content_type=answer.get("ContentType", ""),
            variant=answer.get("InvokedProductionVariant", ""),
            custom_attributes=answer.get("CustomAttributes", ""),
            took_ms=_since_ms(began),
        )

    def _matching(self, group: str, query: LogQuery) -> list[logs.LogLine]:
        found = logs.read(
            self._session,
            group,
            since_ms=query.since_ms,
            pattern=query.pattern,
            stream=query.stream,
        )
        return list(deque(found, maxlen=query.count))


def _refusal(response: dict[str, Any], *, took_ms: float) -> Answer:
    """The container's own answer, which botocore carries beside its error."""
    message = response.get("OriginalMessage") or response.get("Error", {}).get("Message", "")
    return Answer(
        status=int(response.get("OriginalStatusCode", 0)),
        body=str(message).encode(),
        took_ms=took_ms,
    )


def _since_ms(began: float) -> float:
    return (time.monotonic() - began) * 1000
