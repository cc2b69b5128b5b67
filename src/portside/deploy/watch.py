"""Wait for an endpoint, where SageMaker takes seconds or minutes and failure has a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portside.aws import sagemaker
from portside.aws.session import Session
from portside.errors import DeployError

_STUCK = {"Failed", "OutOfService", "UpdateRollbackFailed"}
"""States that end a deployment badly; nobody but the user gets an endpoint out of them."""

_DELETABLE = _STUCK | {"InService"}


class Watch:
    """Asks for an endpoint's state, soon at first and then less often."""

    def __init__(self, session: Session, *, sleep: Callable[[float], None]) -> None:
        self._session = session
        self._sleep = sleep

    def until_in_service(
        self, name: str, *, config_name: str | None, note: Callable[[str], None]
    ) -> None:
        """Return once the endpoint is InService on `config_name` (None: on any).

        A failed update ends InService as well, back on the old config, so the state
        alone proves nothing. Raises `DeployError` with SageMaker's reason.
        """
        for pause_s in _pauses():
            now = sagemaker.describe_endpoint(self._session, name)
            if now is None:
                raise _failure(name, "was deleted meanwhile", "")
            note(now.status)
            if now.status in _STUCK:
                raise _failure(name, f"is {now.status}", now.reason)
            if now.status == "InService":
                if config_name not in {None, now.config_name}:
                    raise _failure(name, "went back to its old config", now.reason)
                return
            self._sleep(pause_s)

    def until_gone(self, name: str, *, note: Callable[[str], None]) -> None:
        """Ask for the deletion as soon as SageMaker allows it, and return once it is done."""
        asked = False
        for pause_s in _pauses():
            now = sagemaker.describe_endpoint(self._session, name)
            if now is None:
                return
            note(now.status)
            if asked and now.status == "Failed":
                raise _failure(name, "could not be deleted", now.reason)
            if now.status in _DELETABLE and not asked:
                sagemaker.delete_endpoint(self._session, name)
                asked = True
            self._sleep(pause_s)


def _pauses() -> Iterator[float]:
    """Seconds between two looks: a local endpoint takes one or two, AWS takes minutes."""
    pause_s = 0.1
    while True:
        yield pause_s
        pause_s = min(pause_s * 1.5, 10.0)


def _failure(name: str, what: str, reason: str) -> DeployError:
    because = f": {reason.rstrip('.')}" if reason else ""
    return DeployError(
        f"the endpoint `{name}` {what}{because}",
        endpoint=name,
        hint=f"read what its instances printed: `portside logs {name}`",
    )
