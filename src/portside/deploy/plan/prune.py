"""The EndpointConfigs and Models of an endpoint that no rollback needs any more (pure)."""

from __future__ import annotations

from portside.deploy.current.current import Current
from portside.deploy.current.earlier import KEPT_CONFIGS, earlier_configs
from portside.deploy.desired.name import is_addressed
from portside.deploy.desired.resources import Desired, Endpoint, Kind
from portside.deploy.plan.step import Step, Verb


def prune_steps(desired: Desired, current: Current) -> list[Step]:
    """The steps that remove what is older than the last three, and surely ours."""
    return [
        found
        for endpoint in desired.endpoints
        for found in _endpoint_steps(endpoint, desired, current)
    ]


def _endpoint_steps(endpoint: Endpoint, desired: Desired, current: Current) -> list[Step]:
    earlier = earlier_configs(endpoint, current)
    kept = earlier[:KEPT_CONFIGS]
    stale = [name for name in earlier[KEPT_CONFIGS:] if current.configs[name].is_ours]
    reason = f"older than the last {KEPT_CONFIGS}"
    steps = [Step(verb=Verb.DELETE, kind=Kind.CONFIG, name=name, reason=reason) for name in stale]
    steps += [
        Step(verb=Verb.DELETE, kind=Kind.MODEL, name=name, reason="in none of the configs kept")
        for name in _unused_models(endpoint, desired, current=current, kept=kept)
    ]
    return steps


def _unused_models(
    endpoint: Endpoint, desired: Desired, *, current: Current, kept: list[str]
) -> list[str]:
    """Models that neither the wanted config nor one that is kept refers to."""
    used = set(desired.models)
    for name in kept:
        models = current.configs[name].models
        if models is None:  # nobody asked, so nobody knows
            return []
        used |= models
    others = [
        name
        for name in current.configs
        if is_addressed(name, endpoint.name) and not current.configs[name].is_ours
    ]
    for name in others:  # not ours to remove, so what it needs stays
        used |= current.configs[name].models or set()
    return sorted(
        name
        for name, model in current.models.items()
        if is_addressed(name, endpoint.name) and name not in used and model.is_ours
    )
