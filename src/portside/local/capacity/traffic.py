"""Who answers an endpoint's invocations now: which deployment, and which variant of it.

    invocation ─▶ blue or green, by how far the traffic has been shifted ─▶ variant, by weight

Blue served before and green is new, as in SageMaker's deployment guardrails; at
rest there is only blue.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portside.local.capacity.capacity import Capacity
    from portside.local.state.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A deployment with the instances that run it, by the names of its variants."""

    deployment: Deployment
    capacities: Mapping[str, Capacity]

    def choose(self, spread: float) -> Capacity | None:
        """The capacity at a place from 0 to 1 along the variants' weights; None if all are zero."""
        weights = [max(each.variant.weight, 0.0) for each in self.capacities.values()]
        place = spread * sum(weights)
        for capacity, weight in zip(self.capacities.values(), weights, strict=True):
            if place < weight:
                return capacity
            place -= weight
        return None

    async def resize(self, wanted: Deployment) -> Running:
        """With the weights and capacities that are wanted; raises `PingFailedError`."""
        # All are waited for, also where one fails: nothing may still be growing when it is undone.
        ended = await asyncio.gather(
            *(self.capacities[variant.name].resize(variant) for variant in wanted.variants),
            return_exceptions=True,
        )
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome
        return replace(self, deployment=wanted)

    async def drain(self) -> None:
        """Until the last invocation is answered."""
        await asyncio.gather(*(capacity.drain() for capacity in self.capacities.values()))

    async def stop(self) -> None:
        """End every instance."""
        await asyncio.gather(*(capacity.stop() for capacity in self.capacities.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """`share` of the invocations, 0 to 1, go to green."""

    blue: Running
    green: Running | None = None
    share: float = 0.0

    def choose(
        self, variant: str | None = None, *, spread: Callable[[], float] = random.random
    ) -> Capacity | None:
        """Who answers the next invocation; None where there is no such variant, or no weight.

        A variant that only one of blue and green has is found there, whatever the share: nobody
        who names it is refused because of an update that is under way.
        """
        running, other = self.blue, self.green
        if self.green is not None and spread() < self.share:
            running, other = self.green, self.blue
        if variant is None:
            return running.choose(spread())
        found = running.capacities.get(variant)
        return other.capacities.get(variant) if found is None and other is not None else found


class Switch(Protocol):
    """Who knows where an endpoint's traffic goes."""

    def traffic(self, arn: str) -> Traffic | None:
        """Who answers its invocations now."""
        ...
