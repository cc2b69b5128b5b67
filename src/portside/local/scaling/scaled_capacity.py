"""What Application Auto Scaling sees and changes of endpoints: the capacity of a variant.

It changes it as on AWS: by UpdateEndpointWeightsAndCapacities, like any caller.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from portside.local.protocol.call import Call
from portside.local.scaling.autoscaling import PROVISIONED_CONCURRENCY
from portside.local.state.deployment import Endpoint
from portside.local.state.endpoint_state import EndpointStatus
from portside.local.state.resource import Kind, arn_of

if TYPE_CHECKING:
    from portside.local.protocol.call import Handler
    from portside.local.state.store import Store


class EndpointCapacities:
    """The capacities of endpoints; `update` is UpdateEndpointWeightsAndCapacities."""

    def __init__(self, store: Store, *, update: Handler, account: str, region: str) -> None:
        self._store = store
        self._update = update
        self._account = account
        self._region = region

    def current(self, endpoint: str, variant: str, dimension: str) -> int | None:
        """The capacity of a variant of an endpoint that is InService; None of any other."""
        arn = arn_of(Kind.ENDPOINT, endpoint, account=self._account, region=self._region)
        resource = self._store.find(arn)
        if resource is None or resource.status != EndpointStatus.IN_SERVICE:
            return None
        deployment = Endpoint.of(resource).deployment
        found = None if deployment is None else deployment.variant(variant)
        if found is None:
            return None
        is_provisioned = dimension == PROVISIONED_CONCURRENCY
        if is_provisioned != (found.serverless is not None):
            return None
        if found.serverless is not None:
            return found.serverless.get("ProvisionedConcurrency", 0)
        return found.instance_count

    async def change(self, endpoint: str, variant: str, dimension: str, *, to: int) -> None:
        """Ask for another capacity; raises the `Fault` of the operation."""
        desired: dict[str, Any] = (
            {"ServerlessUpdateConfig": {"ProvisionedConcurrency": to}}
            if dimension == PROVISIONED_CONCURRENCY
            else {"DesiredInstanceCount": to}
        )
        await self._update(
            Call(
                service="sagemaker",
                operation="UpdateEndpointWeightsAndCapacities",
                params={
                    "EndpointName": endpoint,
                    "DesiredWeightsAndCapacities": [{"VariantName": variant} | desired],
                },
                account=self._account,
                region=self._region,
                request_id=str(uuid.uuid4()),
            )
        )
