"""An invocation as it was measured, and what CloudWatch is told of it.

    received ──overhead──▶ sent ────model────▶ first chunk ─▶ … ─▶ answered
                  └ setup: waiting for an instance that starts

Names, units and meanings: DG monitoring-cloudwatch, "Endpoint invocation metrics", and
serverless-endpoints-monitoring. A metric that counts is sent as 0 as well, so that its
average is a share and its sample count the number of invocations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.local.capacity.capacity import Occupancy
    from portside.local.state.deployment import Variant

NAMESPACE: Final = "AWS/SageMaker"

_COUNT: Final = "Count"
_MICROSECONDS: Final = "Microseconds"
_SHARE: Final = "None"
"""Of utilizations, from 0 to 1: Application Auto Scaling is given a target such as 0.7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One invocation that is over; `time_ms` is when it was received, since 1970.

    `fault` is the status of what the caller was refused with, None where the instance
    answered well; `model_status` what the instance said, 0 where it did not say anything
    whole, None where it was never asked. `model_s` and the rest are seconds: of the instance,
    of all that is not the instance, and of the cold start within that. A streamed answer has
    the time to its first chunk, with the instance's part of it.
    """

    time_ms: int
    endpoint: str
    variant: str
    fault: int | None
    model_status: int | None
    model_s: float
    overhead_s: float
    setup_s: float
    concurrent: int
    is_provisioned: bool = False
    is_stream: bool = False
    first_chunk_s: float | None = None
    first_chunk_model_s: float | None = None
    broke_mid_stream: bool = False

    @property
    def is_cold(self) -> bool:
        """Whether it waited for an instance to start."""
        return self.setup_s > 0


Sample = tuple[str, str, float]
"""A metric's name, its unit, and a value."""


def samples(seen: Invocation, variant: Variant, found: Occupancy) -> Iterator[Sample]:
    """What one invocation adds to the metrics of its variant; `found` is what it met there."""
    status = seen.model_status
    # Neither a timeout nor a lost connection has a status; the caller is told "server error (0)".
    is_client = seen.fault is not None and 400 <= (status or seen.fault) < 500 and status != 0
    yield "Invocations", _COUNT, 1
    yield "InvocationsPerInstance", _COUNT, 1 / max(variant.instance_count, 1)
    yield "Invocation4XXErrors", _COUNT, int(is_client)
    yield "Invocation5XXErrors", _COUNT, int(seen.fault is not None and not is_client)
    yield "InvocationModelErrors", _COUNT, int(seen.fault is not None and status is not None)
    yield "OverheadLatency", _MICROSECONDS, _microseconds(seen.overhead_s)
    if status is not None:
        yield "ModelLatency", _MICROSECONDS, _microseconds(seen.model_s)
        yield "ConcurrentRequestsPerModel", _COUNT, seen.concurrent
    if seen.is_stream:
        yield from _of_stream(seen)
    if variant.serverless is not None:
        yield from _of_serverless(seen, variant.serverless, found)


def _of_stream(seen: Invocation) -> Iterator[Sample]:
    yield "MidStreamErrors", _COUNT, int(seen.broke_mid_stream)
    if seen.first_chunk_s is not None and seen.first_chunk_model_s is not None:
        overhead_s = seen.first_chunk_s - seen.first_chunk_model_s
        yield "FirstChunkLatency", _MICROSECONDS, _microseconds(seen.first_chunk_s)
        yield "FirstChunkModelLatency", _MICROSECONDS, _microseconds(seen.first_chunk_model_s)
        yield "FirstChunkOverheadLatency", _MICROSECONDS, _microseconds(overhead_s)


def _of_serverless(seen: Invocation, config: dict[str, int], found: Occupancy) -> Iterator[Sample]:
    """Setup only of a cold start: a zero for each warm invocation would hide it in the average."""
    if seen.is_cold:
        yield "ModelSetupTime", _MICROSECONDS, _microseconds(seen.setup_s)
    running = min(found.outstanding + 1, config["MaxConcurrency"])
    share = running / config["MaxConcurrency"]
    yield "ServerlessConcurrentExecutionsUtilization", _SHARE, round(share, 3)
    provisioned = config.get("ProvisionedConcurrency")
    if not provisioned:
        return
    used = min(running, provisioned)
    name = "Invocations" if seen.is_provisioned else "SpilloverInvocations"
    yield f"ServerlessProvisionedConcurrency{name}", _COUNT, 1
    yield "ServerlessProvisionedConcurrencyExecutions", _COUNT, used
    yield "ServerlessProvisionedConcurrencyUtilization", _SHARE, round(used / provisioned, 3)


def _microseconds(seconds: float) -> float:
    """To three digits, which keeps the number of different values small; never negative."""
    return float(f"{max(seconds, 0.0) * 1e6:.3g}")
