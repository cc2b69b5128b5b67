"""What became of an endpoint, written down where `DescribeEndpoint` reads it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from portside.local.state.deployment import Endpoint
from portside.local.state.endpoint_state import EndpointEvent

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.state.deployment import Deployment
    from portside.local.state.store import Store

_log = logging.getLogger(__name__)

_MAX_REASON_LENGTH: Final = 1024  # BC FailureReason


class Record:
    """Changes the rows of endpoints. What writes raises `StateFileError`."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def latest(self, arn: str) -> Endpoint | None:
        """The endpoint as it is kept now."""
        resource = self._store.find(arn)
        return None if resource is None else Endpoint.of(resource)

    def note(self, arn: str, *events: EndpointEvent, **changes: object) -> None:
        """Change what is kept of an endpoint, and its status by what has happened, in one go."""
        latest = self.latest(arn)
        if latest is not None:
            changed = replace(latest, **changes)  # type: ignore[arg-type]  # its fields
            for event in events:
                changed = changed.moved(event, at_ms=self._clock.now_ms())
            self._store.save(changed.resource())

    def settle(self, arn: str, deployment: Deployment) -> None:
        """Write down that this is what serves, and that all is done."""
        self.note(
            arn,
            EndpointEvent.HEALTHY,
            deployment=deployment,
            pending=None,
            is_scaling=False,
            stage=None,
            failure_reason=None,
        )

    def begin_roll_back(self, arn: str, *, reason: str) -> None:
        """Write down that what was pending is given up, and why."""
        self._give_up(arn, EndpointEvent.ROLL_BACK, pending=None, reason=reason)

    def fail(self, arn: str, *, pending: Deployment | None, reason: str) -> None:
        """Write down why instances did not come up, and what of the plan is kept to be shown."""
        self._give_up(arn, EndpointEvent.UNHEALTHY, pending=pending, reason=reason)

    def _give_up(
        self, arn: str, event: EndpointEvent, *, pending: Deployment | None, reason: str
    ) -> None:
        _log.warning("endpoint %s: %s", arn, reason)
        self.note(
            arn,
            event,
            pending=pending,
            is_scaling=False,
            stage=None,
            failure_reason=reason[:_MAX_REASON_LENGTH],
        )

    def remove(self, arn: str) -> None:
        """Forget an endpoint."""
        self._store.remove(arn)
