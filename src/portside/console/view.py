"""What the page shows, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass

from portside import contract
from portside.aws import logs, sagemaker
from portside.aws.session import Session
from portside.client.entity import Span, marked
from portside.client.invoke import invoke
from portside.errors import PortsideError, RemoteError

LOG_LINES = 20
"""Of each endpoint, the newest: a page is read, `portside logs` is searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """An endpoint with the newest lines of its log, oldest of them first."""

    state: sagemaker.EndpointState
    log: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The whole page; `error` stands in the place of endpoints where AWS does not answer."""

    endpoints: list[EndpointView]
    place: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryView:
    """A request that was tried: its answer as JSON and as marked text, or the error."""

    endpoint: str
    text: str
    answer: str = ""
    marked: list[list[Span]]
    error: str = ""


def page(session: Session) -> Page:
    """All endpoints of the account, newest first."""
    try:
        names = [name for name, _ in sagemaker.list_endpoints(session)]
        described = [sagemaker.describe_endpoint(session, name) for name in names]
        return Page(
            endpoints=[
                EndpointView(state=now, log=_log(session, now.name)) for now in described if now
            ],
            place=f"account {session.account}, {session.region}",
        )
    except RemoteError as error:
        message = f"{error.message}; {error.hint}" if error.hint else error.message
        return Page(endpoints=[], place=session.region, error=message)


def try_text(session: Session, endpoint: str, text: str) -> TryView:
    """Ask an endpoint about one text."""
    body = json.dumps({"strings": [text]}).encode()
    try:
        answer = invoke(session, endpoint, body=body)
    except PortsideError as error:
        return TryView(endpoint=endpoint, text=text, marked=[], error=error.message)
    return TryView(
        endpoint=endpoint,
        text=text,
        answer=answer.body.decode(errors="replace"),
        marked=marked(body, answer.body),
    )


def _log(session: Session, endpoint: str) -> list[str]:
    try:
        lines = list(logs.read(session, contract.LOG_GROUP_PREFIX + endpoint))
    except RemoteError:
        return []  # an endpoint that has not printed anything has no log group yet
    return [logs.readable(line.message) for line in lines[-LOG_LINES:]]
