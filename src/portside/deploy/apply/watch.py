"""Wait for an endpoint, where SageMaker takes seconds or minutes and failure has a reason.

What its new instances print is heard meanwhile, and instances that end again and again are not
waited for to the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from portside.aws import sagemaker
from portside.aws.logs import LogLine
from portside.aws.sagemaker import EndpointState
from portside.aws.session import Session
from portside.deploy.apply.startup import Starts, Startup
from portside.errors import DeployError, RemoteError

LOOK_AFTER_S: Final = 2.0
"""Until the log is read for the first time, and between two looks: what is quick asks for none."""

_STUCK = {"Failed", "OutOfService", "UpdateRollbackFailed"}
"""States that end a deployment badly; nobody but the user gets an endpoint out of them."""

_DELETABLE = _STUCK | {"InService"}

_NO_PING: Final = "did not pass the ping health check"
"""All that SageMaker says of an instance that ended, whatever the instance said."""

_TAKEN_UP_S: Final = 60.0
"""Within which SageMaker has taken up a deletion that it took; seconds as a rule: an assumption."""

_SKEW_S: Final = 60.0
"""By which this clock may be ahead of the one that dates log lines."""


class Watch:
    """Asks for an endpoint's state, soon at first and then less often.

    `heard` is told each line of a starting instance; without it no log is read.
    """

    def __init__(
        self,
        session: Session,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float] = time.time,
        heard: Callable[[LogLine], None] | None = None,
    ) -> None:
        self._session = session
        self._sleep = sleep
        self._clock = clock
        self._heard = heard

    def until_in_service(
        self, name: str, *, config_name: str | None, note: Callable[[str], None]
    ) -> None:
        """Return once the endpoint is InService on `config_name` (None: on any).

        A failed update ends InService as well, back on the old config, so the state
        alone proves nothing. Raises `DeployError` with SageMaker's reason, or with the
        instances' own where those end again and again.
        """
        startup, looked_at = self._startup(name), self._clock()
        for pause_s in _pauses():
            now = sagemaker.describe_endpoint(self._session, name)
            if now is None:
                raise _failure(name, "was deleted meanwhile", "")
            note(now.status)
            if now.status in _STUCK:
                raise _failure(name, f"is {now.status}", _reason(now.reason, startup))
            if now.status == "InService":
                if config_name not in {None, now.config_name}:
                    what = "was not updated, and goes on serving its old version"
                    raise _failure(name, what, _reason(now.reason, startup))
                return
            if startup and self._clock() - looked_at >= LOOK_AFTER_S:
                looked_at = self._clock()
                _listen(startup, now)
            self._sleep(pause_s)

    def _startup(self, name: str) -> Startup | None:
        if self._heard is None:
            return None
        since_ms = int(1000 * (self._clock() - _SKEW_S))
        return Startup(self._session, name, since_ms=since_ms, heard=self._heard)

    def until_gone(self, name: str, *, note: Callable[[str], None]) -> None:
        """Ask for the deletion as soon as SageMaker allows it, and return once it is done.

        Raises `DeployError` with SageMaker's reason where the endpoint becomes Failed over it; one
        that was Failed before may look so for a moment longer.
        """
        asked_at: float | None = None
        was_failed = False
        for pause_s in _pauses():
            now = sagemaker.describe_endpoint(self._session, name)
            if now is None:
                return
            note(now.status)
            if asked_at is None:
                if now.status in _DELETABLE:
                    sagemaker.delete_endpoint(self._session, name)
                    asked_at, was_failed = self._clock(), now.status == "Failed"
            elif now.status != "Failed":
                was_failed = False
            elif not was_failed or self._clock() - asked_at > _TAKEN_UP_S:
                raise _undeleted(name, now.reason)
            self._sleep(pause_s)


def _pauses() -> Iterator[float]:
    """Seconds between two looks: a local endpoint takes one or two, AWS takes minutes."""
    pause_s = 0.1
    while True:
        yield pause_s
        pause_s = min(pause_s * 1.5, 10.0)


def _listen(startup: Startup, now: EndpointState) -> None:
    startup.look()
    if startup.starts.is_crash_loop:
        what = "does not start"
        if now.status != "Creating":
            what = "goes on serving its old version, because the new one does not start"
        raise _failure(now.name, what, _ended(startup.starts))


def _reason(said: str, startup: Startup | None) -> str:
    """SageMaker's, or the instances' own where SageMaker's is that they did not answer."""
    if startup is None:
        return said
    try:
        startup.look()
    except RemoteError:
        return said  # what is being told matters more
    is_vague = not said or _NO_PING in said
    return _ended(startup.starts) if is_vague and startup.starts.reason else said


def _ended(starts: Starts) -> str:
    times = f" {starts.failed} times" if starts.failed > 1 else ""
    return f"an instance of it ended{times}: {starts.reason}"


def _undeleted(name: str, reason: str) -> DeployError:
    because = f": {reason.rstrip('.')}" if reason else ", and SageMaker does not say why"
    return DeployError(
        f"the endpoint `{name}` could not be deleted, and is Failed{because}",
        endpoint=name,
        hint="run the same command again; if it stays, look at it in AWS's console",
    )


def _failure(name: str, what: str, reason: str) -> DeployError:
    because = f": {reason.rstrip('.')}" if reason else ""
    return DeployError(
        f"the endpoint `{name}` {what}{because}",
        endpoint=name,
        hint=f"read all that its instances printed: `portside logs {name}`",
    )
