"""The life of an endpoint: its states, what can happen to it, and where that leads.

    Creating ──healthy─▶ InService ──update─▶ Updating ──healthy─▶ InService
        │                 │  ▲   │               │  │
        │ unhealthy       │  │   │ restart       │  └─unhealthy─▶ InService (the old one serves)
        ▼                 │  │   ▼               ▼ roll back
      Failed ◀─unhealthy──┼─ SystemUpdating    RollingBack ──healthy─▶ InService (likewise)
        │                 │
        └─────── delete ──┴─▶ Deleting ──▶ gone

The states are SageMaker's (BC EndpointStatus). A restart of the local
SageMaker is to its endpoints what maintenance is on AWS: SystemUpdating until
the instances answer again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class EndpointStatus(StrEnum):
    """SageMaker's own words for where an endpoint stands."""

    CREATING = "Creating"
    IN_SERVICE = "InService"
    UPDATING = "Updating"
    ROLLING_BACK = "RollingBack"
    SYSTEM_UPDATING = "SystemUpdating"
    DELETING = "Deleting"
    FAILED = "Failed"

    @property
    def is_in_progress(self) -> bool:
        """Whether something is being done to it, so that nothing else may be begun."""
        return self not in {EndpointStatus.IN_SERVICE, EndpointStatus.FAILED}

    @property
    def is_serving(self) -> bool:
        """Whether it takes invocations."""
        return self in {
            EndpointStatus.IN_SERVICE,
            EndpointStatus.UPDATING,
            EndpointStatus.ROLLING_BACK,
            EndpointStatus.SYSTEM_UPDATING,
        }


class EndpointEvent(StrEnum):
    """What can happen to an endpoint."""

    HEALTHY = "its new instances all answer"
    UNHEALTHY = "its new instances cannot be brought up"
    UPDATE = "another configuration, weight or capacity was asked for"
    ROLL_BACK = "an update has to be undone"
    DELETE = "DeleteEndpoint was asked for"
    RESTART = "the local SageMaker starts again"


_S, _E = EndpointStatus, EndpointEvent

MOVES: Final = {
    (_S.CREATING, _E.HEALTHY): _S.IN_SERVICE,
    (_S.CREATING, _E.UNHEALTHY): _S.FAILED,
    (_S.CREATING, _E.RESTART): _S.CREATING,
    (_S.IN_SERVICE, _E.UPDATE): _S.UPDATING,
    (_S.IN_SERVICE, _E.DELETE): _S.DELETING,
    (_S.IN_SERVICE, _E.RESTART): _S.SYSTEM_UPDATING,
    (_S.UPDATING, _E.HEALTHY): _S.IN_SERVICE,
    (_S.UPDATING, _E.UNHEALTHY): _S.IN_SERVICE,
    (_S.UPDATING, _E.ROLL_BACK): _S.ROLLING_BACK,
    (_S.UPDATING, _E.RESTART): _S.SYSTEM_UPDATING,
    (_S.ROLLING_BACK, _E.HEALTHY): _S.IN_SERVICE,
    (_S.ROLLING_BACK, _E.UNHEALTHY): _S.IN_SERVICE,
    (_S.ROLLING_BACK, _E.RESTART): _S.SYSTEM_UPDATING,
    (_S.SYSTEM_UPDATING, _E.HEALTHY): _S.IN_SERVICE,
    (_S.SYSTEM_UPDATING, _E.UNHEALTHY): _S.FAILED,
    (_S.SYSTEM_UPDATING, _E.RESTART): _S.SYSTEM_UPDATING,
    (_S.DELETING, _E.RESTART): _S.DELETING,
    (_S.FAILED, _E.DELETE): _S.DELETING,
    (_S.FAILED, _E.RESTART): _S.FAILED,
}
"""Every move there is; what is not here is not allowed. `Deleting` ends with the row's removal."""
