"""What runs now of every endpoint, and how its invocations came to their instances.

SageMaker shows none of it but through CloudWatch; `portside local status` and the console do.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from portside.local.state.resource import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.local.capacity.capacity import Capacity
    from portside.local.capacity.traffic import Running, Switch, Traffic
    from portside.local.state.resource import Resource


class Resources(Protocol):
    """Who knows what there is."""

    def all_of(self, kind: Kind) -> Iterable[Resource]:
        """All resources of a kind."""
        ...


def take_census(resources: Resources, switch: Switch) -> list[dict[str, Any]]:
    """Each endpoint with its variants, as JSON; during an update those of both deployments.

    The counts begin when a deployment's instances are started, here and after a restart.
    """
    return [
        {"name": endpoint.name, "variants": _variants(switch.traffic(endpoint.arn))}
        for endpoint in resources.all_of(Kind.ENDPOINT)
    ]


def _variants(traffic: Traffic | None) -> list[dict[str, Any]]:
    if traffic is None:
        return []
    deployments: list[Running] = [traffic.blue, *([traffic.green] if traffic.green else [])]
    return [_variant(each) for running in deployments for each in running.capacities.values()]


def _variant(capacity: Capacity) -> dict[str, Any]:
    return {
        "name": capacity.variant.name,
        "is_serverless": capacity.variant.serverless is not None,
        "instances": asdict(capacity.occupancy),
        "invocations": asdict(capacity.invocations),
    }
