"""Sticky sessions: what a caller and a handler keep between requests.

    header                  body                              answer
    ──────────────────────────────────────────────────────────────────────────────────────
    Session-Id: NEW_SESSION {"requestType": "NEW_SESSION"}    New-Session-Id: <id>; Expires=<UTC>
    Session-Id: <id>        anything                          the handler's; it finds its session
                                                              in `context.session`
    Session-Id: <id>        {"requestType": "CLOSE"}          Closed-Session-Id: <id>
    Session-Id: <unknown>   anything                          400, also once the session is over

The headers begin with `X-Amzn-SageMaker-`. SageMaker sends all requests of a
session to the instance that made it, so sessions are kept in memory, and are
gone with the instance. The protocol is that of AWS's own library, which keeps
them in `/dev/shm`:
https://github.com/aws/model-hosting-container-standards, sagemaker/sessions.
Where it lets the request of a session that has expired through to the handler,
without a session and without a word, it is refused here.

All of it is called in the event loop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from portside import contract
from portside.serving.error import InvalidBodyError, InvalidRequestError, OverloadedError
from portside.serving.response import Response

_NEW: Final = "NEW_SESSION"
"""In the header in place of an id, and as a type of request. BC InvokeEndpoint."""

_CLOSE: Final = "CLOSE"

_MAX_SESSIONS: Final = 10_000
"""At a time: many more than an instance answers, few enough that their records alone are small."""

_MAX_COMMAND_BYTES: Final = 256
"""Longer bodies are no requests about a session, and are not parsed here."""


@dataclass(slots=True, eq=False)
class Session:
    """A session, as a handler sees it."""

    id: str
    expires_at: float
    """Seconds since 1970. The end is fixed at the begin, because the caller is told it."""
    state: dict[str, Any] = field(default_factory=dict)
    """Whatever the handler wants to keep. Where it works on several requests at once, two of them
    may be of one session."""


class SessionTable:
    """The sessions of an instance."""

    def __init__(
        self,
        *,
        expiration_s: float = contract.SESSION_EXPIRATION_S,
        max_sessions: int = _MAX_SESSIONS,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: os.urandom(16).hex(),
    ) -> None:
        self._expiration_s = expiration_s
        self._max_sessions = max_sessions
        self._clock = clock
        self._new_id = new_id
        self._sessions: dict[str, Session] = {}
        """In the order in which they end, which is that in which they began."""

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def receive(self, session_id: str, body: bytes) -> Session | Response:
        """The session of a request, by the header; or the answer, if it is about a session.

        Raises InvalidRequestError for a session that is unknown or over, InvalidBodyError for a
        `requestType` that is none, OverloadedError if there are too many sessions.
        """
        command = _request_type(body)
        if command == _NEW:
            return self._create()
        if command == _CLOSE:
            return self._close(session_id)
        if command is not None:
            raise InvalidBodyError(f"`requestType` is {command!r}, neither `{_NEW}` nor `{_CLOSE}`")
        if session_id == _NEW:
            raise InvalidBodyError(
                f'a new session is asked for with the body {{"requestType": "{_NEW}"}}'
            )
        return self._find(session_id)

    def sweep(self) -> None:
        """Forget the sessions that are over."""
        now = self._clock()
        while self._sessions:
            oldest = next(iter(self._sessions.values()))
            if oldest.expires_at > now:
                break
            del self._sessions[oldest.id]

    def _create(self) -> Response:
        self.sweep()
        now = self._clock()
        if len(self._sessions) >= self._max_sessions:
            oldest = next(iter(self._sessions.values()))
            raise OverloadedError(
                f"{self._max_sessions} sessions are open already",
                retry_after_s=int(oldest.expires_at - now) + 1,
            )
        session = Session(self._new_id(), now + self._expiration_s)
        self._sessions[session.id] = session
        expires = datetime.fromtimestamp(session.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return _said(
            f"Session {session.id} created",
            (contract.HEADER_NEW_SESSION_ID, f"{session.id}; Expires={expires}"),
        )

    def _close(self, session_id: str) -> Response:
        session = self._find(session_id)
        del self._sessions[session.id]
        return _said(
            f"Session {session.id} closed", (contract.HEADER_CLOSED_SESSION_ID, session.id)
        )

    def _find(self, session_id: str) -> Session:
        self.sweep()
        session = self._sessions.get(session_id)
        if session is None:
            raise InvalidRequestError(
                f"no session `{session_id}` here: it was closed, has expired, or never was"
            )
        return session


def refuse_session() -> InvalidRequestError:
    """For a request with a session where there are none, in the words of AWS's library."""
    return InvalidRequestError(
        f"Invalid payload. stateful sessions not enabled, {contract.HEADER_SESSION_ID} header not "
        f"supported; set `{contract.ENV_SESSIONS}` to `true`"
    )


def _request_type(body: bytes) -> object:
    """The `requestType` in a body; None in that of any other request."""
    if len(body) > _MAX_COMMAND_BYTES:
        return None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value.get("requestType") if isinstance(value, dict) else None


def _said(text: str, header: tuple[str, str]) -> Response:
    return Response(
        status=200, body=text.encode(), content_type="text/plain; charset=utf-8", headers=(header,)
    )
