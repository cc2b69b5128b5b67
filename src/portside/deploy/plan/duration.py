"""How long a plan may take on AWS, from what SageMaker itself allows (pure).

Nobody tells how long an endpoint takes to start; how long it may take is known. The waits of a
rollout are the user's own.
"""

from __future__ import annotations

import math
from typing import Any, Final

from portside import contract
from portside.deploy.desired.resources import Desired, Endpoint
from portside.deploy.plan.step import Step, Verb

UPLOAD_BYTES_PER_S: Final = 10_000_000
"""Assumed: 80 Mbit/s, an ordinary line from an office."""


def upload_s(steps: tuple[Step, ...]) -> float:
    """Seconds that the uploads take, at the assumed rate."""
    return sum(step.size_bytes for step in steps) / UPLOAD_BYTES_PER_S


def longest_start_s(steps: tuple[Step, ...], desired: Desired) -> float:
    """Seconds within which the endpoints of a plan are up, or SageMaker has given them up.

    Placing an instance and fetching its image come on top: no source says how long they take.
    """
    total = 0.0
    for step in steps:
        if not isinstance(step.wanted, Endpoint):
            continue
        if step.verb in {Verb.CREATE, Verb.UPDATE}:
            total += _start_s(step.wanted, desired)
        if step.verb is Verb.UPDATE:
            total += _moving_s(step.wanted)
    return total


def _start_s(endpoint: Endpoint, desired: Desired) -> float:
    variants = desired.configs[endpoint.config_name].variants
    if any("ServerlessConfig" in variant for variant in variants):
        return contract.SERVERLESS_STARTUP_TIMEOUT_S
    return contract.STARTUP_TIMEOUT_S


def _moving_s(endpoint: Endpoint) -> float:
    """The waits of a rollout: one after each step, and one before the old fleet is ended."""
    policy = (endpoint.deployment or {}).get("BlueGreenUpdatePolicy", {})
    routing: dict[str, Any] = policy.get("TrafficRoutingConfiguration", {})
    step_percent: int = routing.get("LinearStepSize", {}).get("Value", 100)
    steps = math.ceil(100 / step_percent)
    if "CanarySize" in routing:  # the canary, and all the rest
        steps = 2
    wait: float = routing.get("WaitIntervalInSeconds", 0)
    ending: float = policy.get("TerminationWaitInSeconds", 0)
    return steps * wait + ending
