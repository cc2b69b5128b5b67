"""The life of an instance: its states, what can happen to it, and where that leads.

    Starting ──ping──▶ Healthy ──stop──▶ Stopping ──exit──▶ Stopped
        │                 │                  ▲
        ├──────exit───────┴──▶ Failed        │
        └──────────────stop──────────────────┘

SageMaker shows none of them; an endpoint's state is what they come to.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class InstanceState(StrEnum):
    """Where an instance stands."""

    STARTING = "starting"
    HEALTHY = "healthy"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class InstanceEvent(StrEnum):
    """What can happen to an instance."""

    PING = "it answered /ping"
    STOP = "it was told to stop"
    EXIT = "its process ended"


_S, _E = InstanceState, InstanceEvent

MOVES: Final = {
    (_S.STARTING, _E.PING): _S.HEALTHY,
    (_S.STARTING, _E.STOP): _S.STOPPING,
    (_S.STARTING, _E.EXIT): _S.FAILED,
    (_S.HEALTHY, _E.STOP): _S.STOPPING,
    (_S.HEALTHY, _E.EXIT): _S.FAILED,
    (_S.STOPPING, _E.EXIT): _S.STOPPED,
}
"""Every move there is; `Stopped` and `Failed` are ends."""
