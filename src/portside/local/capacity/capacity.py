"""What serves one variant: instances that are always there, or such as come when they are needed.

    lease ─▶ an instance for one invocation, perhaps after a cold start ─▶ given back

`fleet` is the first kind, `serverless` the second; `running` holds one for each variant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from portside.local.instance.instance import Instance
    from portside.local.state.deployment import Variant


class NoInstanceError(Exception):
    """No instance is healthy now."""


class ThrottledError(Exception):
    """As many invocations are running as the variant's max concurrency allows."""


class PingFailedError(Exception):
    """An instance did not become healthy in its time and tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """An instance for one invocation; `setup_s` is how long a cold start made it wait, else 0."""

    instance: Instance
    setup_s: float = 0.0
    is_provisioned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """How much of a capacity is there, and in use, now.

    `warm` instances are healthy, `starting` ones not yet; `outstanding` invocations run on them.
    """

    warm: int
    starting: int
    outstanding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationCount:
    """Invocations by how they came to their instance, since the capacity is there.

    `cold` ones waited for a start and `warm` ones did not. Of the warm ones `provisioned` ran on
    a provisioned instance; `spilled_over` are those, cold or warm, that would have if one had
    been free.
    """

    cold: int = 0
    warm: int = 0
    provisioned: int = 0
    spilled_over: int = 0


class Capacity(Protocol):
    """The instances of one variant."""

    @property
    def variant(self) -> Variant:
        """What they run, with the weight and capacity that hold now."""
        ...

    @property
    def occupancy(self) -> Occupancy:
        """What is there now."""
        ...

    @property
    def invocations(self) -> InvocationCount:
        """How many it was given so far."""
        ...

    @property
    def groups(self) -> tuple[int, ...]:
        """The process groups of its instances, of those that are processes of this machine."""
        ...

    async def start(self, *, startup_timeout_s: float, spent_s: float = 0.0) -> None:
        """Until it can serve; raises `PingFailedError`, and nothing is left running then.

        `spent_s` of the time are gone already; instances that start later have all of it.
        """
        ...

    def lease(self) -> AbstractAsyncContextManager[Lease]:
        """An instance for one invocation; raises `NoInstanceError` and `ThrottledError`."""
        ...

    async def resize(self, variant: Variant) -> None:
        """Until it has the capacity (and weight) of this variant; raises `PingFailedError`.

        Where that fails it has what it had. Invocations that run are not cut off.
        """
        ...

    async def drain(self) -> None:
        """Until the last invocation is answered, at most as long as one may take."""
        ...

    async def stop(self) -> None:
        """End every instance: SIGTERM, 30 s, SIGKILL."""
        ...
