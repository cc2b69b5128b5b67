"""What Portside made in an account: each endpoint with its age, its cost and its last request.

endpoints with the tag ─▶ config, price, Invocations ─▶ Holding ─▶ `ls`
                                                           └─▶ overdue ─────▶ `reap`
the journal ─▶ a `reap` that was cut ─▶ what it left of endpoints that are gone ─┘
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from portside.aws import metrics, sagemaker
from portside.aws.metrics import Metric
from portside.aws.session import Session
from portside.config import ttl_hours
from portside.deploy.current.current import Owned
from portside.deploy.desired.name import is_addressed, resource_id, role_name, wake_alarm
from portside.deploy.desired.resources import (
    TAG_PROJECT,
    TAG_TTL,
    Desired,
    Endpoint,
    EndpointConfig,
    Kind,
)
from portside.deploy.plan.plan import plan_removal
from portside.deploy.price.price import prices
from portside.deploy.run.journal import DONE, Entry

LOOKED_BACK: Final = timedelta(days=60)
"""For the last request: what nobody called for so long is idle, whenever it was."""

PERIOD_S: Final = 3600
"""Of such points CloudWatch keeps 455 days, of a minute's 15. Source: API Reference of CloudWatch,
GetMetricData."""

REAP: Final = "portside reap"
"""As the journal has it."""

_SHARED: Final = {Kind.ARTIFACT, Kind.IMAGE, Kind.REPOSITORY}
"""What all endpoints of a project need."""

_AT_ONCE: Final = 8
"""Questions of SageMaker, which tells the tags and the config of one endpoint at a time. Fewer than
the ten connections that a client of botocore keeps open."""

_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One endpoint that Portside made. Times in seconds since 1970, the price in US dollars."""

    project: str
    endpoint: str
    kind: str
    status: str
    created_at: float
    idle_month: float | None
    """What it costs in a month in which nobody calls; None where nobody knows."""
    invoked_at: float | None
    """The end of the hour of the last request; None where there was none in `LOOKED_BACK`."""
    ttl_h: int | None
    """How many hours it may live; None for ever."""

    @property
    def used_at(self) -> float:
        """The last sign of use: a request, or else that it was made."""
        return max(self.created_at, self.invoked_at or 0.0)

    def ttl_left_s(self, now: float) -> float | None:
        """Seconds until its time is up, negative after that; None where it has none."""
        return None if self.ttl_h is None else self.created_at + self.ttl_h * _HOUR_S - now


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """An endpoint that is to go, and why."""

    holding: Holding
    reason: str


def take_inventory(
    session: Session, *, now: float, project: str | None = None
) -> tuple[Holding, ...]:
    """Every endpoint with Portside's tag, or with that of one project, by project and name."""
    listed = sagemaker.list_endpoints(session, contains=project)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        tagged = threads.map(lambda one: sagemaker.list_tags(session, one.arn), listed)
        ours = [
            (one, tags)
            for one, tags in zip(listed, tagged, strict=True)
            if TAG_PROJECT in tags and project in {None, tags[TAG_PROJECT]}
        ]
        found = threads.map(lambda made: _variants(session, made[0].name), ours)
        variants = {one.name: each for (one, _), each in zip(ours, found, strict=True)}
    invoked = _last_invocations(session, variants, now=now)
    holdings = [
        Holding(
            project=tags[TAG_PROJECT],
            endpoint=one.name,
            kind=_kind(variants[one.name]),
            status=one.status,
            created_at=one.created_at,
            idle_month=_idle_month(one.name, variants[one.name], region=session.region),
            invoked_at=invoked.get(one.name),
            ttl_h=_ttl_h(tags.get(TAG_TTL)),
        )
        for one, tags in ours
    ]
    return tuple(sorted(holdings, key=lambda one: (one.project, one.endpoint)))


def overdue(
    holdings: Sequence[Holding], *, now: float, idle_h: int | None = None
) -> tuple[Overdue, ...]:
    """The endpoints whose `ttl` is over, or that nobody has called for `idle_h` hours."""
    found = []
    for one in holdings:
        left_s = one.ttl_left_s(now)
        if left_s is not None and left_s <= 0:
            reason = f"its ttl of {one.ttl_h} h is over"
        elif idle_h is not None and now - one.used_at > idle_h * _HOUR_S:
            reason = f"nobody has called it for {(now - one.used_at) / _HOUR_S:.0f} h"
        else:
            continue
        found.append(Overdue(holding=one, reason=reason))
    return tuple(found)


def owned_by(endpoints: Sequence[str], owned: Sequence[Owned], *, region: str) -> tuple[Owned, ...]:
    """What goes with some endpoints of a project, and nothing that others may need."""
    return tuple(
        one for one in owned if any(_belongs(one.name, name, region=region) for name in endpoints)
    )


def is_cut(entries: Sequence[Entry]) -> bool:
    """Whether a project's last run (the newest comes first) is a `reap` that did not end well."""
    return bool(entries) and entries[0].command == REAP and entries[0].result != DONE


def left_by_cut(
    entries: Sequence[Entry], owned: Sequence[Owned], *, living: Collection[str], region: str
) -> tuple[Owned, ...]:
    """What such a run was to remove, is still there, and no endpoint that lives needs.

    An endpoint goes before what it was made from, and its time to live goes with it; the journal
    has had the whole plan since before the first step.
    """
    if not is_cut(entries):
        return ()
    needed = set(owned_by(sorted(living), owned, region=region))
    return tuple(
        one
        for one in owned
        if one not in needed
        and not (living and one.kind in _SHARED)
        and any(step.id in entries[0].steps for step in plan_removal((one,)))
    )


def _belongs(name: str, endpoint: str, *, region: str) -> bool:
    own = {endpoint, role_name(endpoint, region=region), wake_alarm(endpoint)}
    return name in own or is_addressed(name, endpoint) or name.startswith(resource_id(endpoint, ""))


def _variants(session: Session, endpoint: str) -> list[dict[str, Any]]:
    now = sagemaker.describe_endpoint(session, endpoint)
    config = sagemaker.describe_endpoint_config(session, now.config_name) if now else None
    found: list[dict[str, Any]] = (config or {}).get("ProductionVariants", [])
    asynchronous = "AsyncInferenceConfig" in (config or {})
    return [variant | {"is_async": asynchronous} for variant in found]


def _kind(variants: list[dict[str, Any]]) -> str:
    if not variants:
        return "unknown"
    if "ServerlessConfig" in variants[0]:
        return "serverless"
    return "async" if variants[0]["is_async"] else "realtime"


def _idle_month(endpoint: str, variants: list[dict[str, Any]], *, region: str) -> float | None:
    if not variants:
        return None
    config = EndpointConfig(name="live", variants=variants, tags={})
    live = Endpoint(name=endpoint, config_name=config.name, tags={})
    (price,) = prices(Desired(project="", resources=(config, live)), region=region)
    return price.idle_month


def _last_invocations(
    session: Session, variants: dict[str, list[dict[str, Any]]], *, now: float
) -> dict[str, float]:
    asked = [
        Metric(endpoint=name, variant=variant["VariantName"], name="Invocations", statistic="Sum")
        for name, found in variants.items()
        for variant in found
    ]
    end = datetime.fromtimestamp(now, UTC)
    last: dict[str, float] = {}
    read = metrics.read(session, asked, start=end - LOOKED_BACK, end=end, period_s=PERIOD_S)
    for metric, points in read.items():
        for point in points:
            if point.value > 0:
                ended = min(point.time.timestamp() + PERIOD_S, now)
                last[metric.endpoint] = max(last.get(metric.endpoint, 0.0), ended)
    return last


def _ttl_h(text: str | None) -> int | None:
    """Of a tag that somebody may have changed by hand to what is no duration: for ever."""
    try:
        return None if text is None else ttl_hours(text)
    except ValueError:
        return None
