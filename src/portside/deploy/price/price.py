"""What endpoints cost: by the hour, while idle for a month, for a million requests (pure).

    EndpointConfig, scaling, region ─▶ Price        None wherever a price is not known

A real-time endpoint costs by the hour, whoever calls it; a serverless one by the seconds in which
it answers, so its price for requests stands on an assumption about them, which is told along.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from portside.config import Project
from portside.deploy.current.current import Current, TargetNow
from portside.deploy.desired.resources import Desired, Endpoint, ScalableTarget
from portside.deploy.plan.step import Step, Verb
from portside.deploy.price.price_table import (
    AS_OF,
    DATA_GB,
    INSTANCE_HOUR,
    PROVISIONED_GB_SECOND,
    SERVERLESS_GB_SECOND,
    SOURCE,
)
from portside.errors import DeployError

HOURS_A_MONTH: Final = 730
"""As AWS counts in its own calculator: 8,760 hours a year by twelve."""

ASSUMED_LATENCY_MS: Final = 100.0
"""Where nobody measured."""

ASSUMED_REQUEST_BYTES: Final = 2_000
"""In and out together: some sentences and what was found in them."""

MILLION: Final = 1_000_000
GB: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Of one endpoint, in US dollars; None where a price is not known.

    `hour` and `idle_month` are what it costs while nobody calls it. `most_month` is that of as many
    instances as auto scaling may start.
    """

    endpoint: str
    hour: float | None
    most_hour: float | None
    million_requests: float | None
    latency_ms: float
    is_measured: bool
    unknown: tuple[str, ...] = ()
    """What has no known price."""

    @property
    def idle_month(self) -> float | None:
        """A month in which nobody calls."""
        return None if self.hour is None else self.hour * HOURS_A_MONTH

    @property
    def most_month(self) -> float | None:
        """A month with as much capacity as it may have."""
        return None if self.most_hour is None else self.most_hour * HOURS_A_MONTH

    @property
    def costs_while_idle(self) -> bool:
        """Whether a month costs something although nobody calls; yes where nobody knows."""
        return self.most_hour != 0


def prices(desired: Desired, *, region: str, latency_ms: float | None = None) -> tuple[Price, ...]:
    """What each endpoint costs; `latency_ms` is how long an answer took, where it was measured."""
    return tuple(
        _price(endpoint, desired, region=region, latency_ms=latency_ms)
        for endpoint in desired.endpoints
    )


def check_budget(
    project: Project,
    found: tuple[Price, ...],
    *,
    steps: tuple[Step, ...],
    desired: Desired,
    current: Current,
    region: str,
) -> None:
    """Refuse to make what costs more while idle than it does now, unless a budget covers it.

    Raises `DeployError` that says the price and the two ways on.
    """
    changed = {name for step in steps if (name := _grown(step))}
    budgets = {endpoint.name: endpoint.settings.budget for endpoint in project.endpoints}
    for price in found:
        budget, month = budgets[price.endpoint], price.most_month
        if price.endpoint not in changed or not price.costs_while_idle:
            continue
        covered = budget is not None and month is not None and month <= budget
        before = _capacity_now(price.endpoint, desired, current)
        wanted = _capacity_wanted(price.endpoint, desired)
        if covered or (budget is None and _is_no_dearer(wanted, before, region=region)):
            continue
        raise DeployError(
            f"cannot deploy `{price.endpoint}` unasked: {_costs(price)} while nobody calls it"
            + (f", and its budget is {dollars(budget)} a month" if budget is not None else ""),
            hint="run the same command with `--yes`, or set `budget` to US dollars a month",
        )


def _grown(step: Step) -> str | None:
    """The endpoint that may cost more after a step: by its config, or by how far it may scale."""
    if step.verb not in {Verb.CREATE, Verb.UPDATE}:
        return None
    match step.wanted:
        case Endpoint(name=name) | ScalableTarget(endpoint=name):
            return name
        case _:
            return None


def _is_no_dearer(wanted: list[_Capacity], before: list[_Capacity], *, region: str) -> bool:
    """Whether what runs now costs as much already, so that nobody needs to be asked again.

    The same capacity costs the same, also where nobody knows how much that is.
    """
    if Counter(one.most_of for one in wanted) <= Counter(one.most_of for one in before):
        return True
    now, then = (
        _sum([one.hour(one.most, region=region) for one in counted]) for counted in (before, wanted)
    )
    return now is not None and then is not None and then <= now


def sentences(price: Price) -> list[str]:
    """The price in words, with what it stands on."""
    lines = [f"{price.endpoint}: {_idle(price)}"]
    measured = "measured here" if price.is_measured else "assumed"
    if price.million_requests is not None:
        lines.append(
            f"{dollars(price.million_requests)} for a million requests "
            f"(of {price.latency_ms:.0f} ms, {measured}, and of {ASSUMED_REQUEST_BYTES:,} bytes, "
            "assumed)"
        )
    else:
        lines.append("unknown for a million requests")
    if price.unknown:
        lines.append(f"no known price of {', '.join(price.unknown)}")
    lines.append(f"as of {AS_OF}, {SOURCE}")
    return lines


def dollars(amount: float) -> str:
    """An amount for people: cents, and of less than a cent two digits."""
    return f"${amount:,.2f}" if amount >= 0.01 or amount == 0 else f"${amount:.2g}"


def _idle(price: Price) -> str:
    if price.hour is None or price.idle_month is None:
        return "unknown while idle"
    if price.hour == 0 and price.most_hour == 0:
        return "nothing while idle"
    most = price.most_month
    more = f", up to {dollars(most)} scaled out" if most and most > price.idle_month else ""
    return f"{dollars(price.hour)} an hour, {dollars(price.idle_month)} a month idle{more}"


def _costs(price: Price) -> str:
    if price.most_month is None:
        return "nobody knows what it costs"
    return f"it costs up to {dollars(price.most_month)} a month"


def _price(endpoint: Endpoint, desired: Desired, *, region: str, latency_ms: float | None) -> Price:
    counted = _capacity_wanted(endpoint.name, desired)
    hours = [one.hour(one.least, region=region) for one in counted]
    mosts = [one.hour(one.most, region=region) for one in counted]
    latency = ASSUMED_LATENCY_MS if latency_ms is None else latency_ms
    unknown = {one.label for one, hour in zip(counted, mosts, strict=True) if hour is None}
    variants = desired.configs[endpoint.config_name].variants
    requests = _million_requests(variants[0], region=region, latency_ms=latency)
    if requests is None:
        unknown.add(f"requests in {region}")
    return Price(
        endpoint=endpoint.name,
        hour=_sum(hours),
        most_hour=_sum(mosts),
        million_requests=requests,
        latency_ms=latency,
        is_measured=latency_ms is not None,
        unknown=tuple(sorted(unknown)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Capacity:
    """What of a variant is there all the time, and how much of it there may be."""

    label: str
    instance_type: str | None
    memory_gb: float
    least: int
    most: int

    @classmethod
    def of(cls, variant: dict[str, Any], target: ScalableTarget | TargetNow | None) -> _Capacity:
        """Of a ProductionVariant in AWS's spelling, within what auto scaling may make of it."""
        serverless = variant.get("ServerlessConfig")
        count = (
            variant["InitialInstanceCount"]
            if serverless is None
            else serverless.get("ProvisionedConcurrency", 0)
        )
        return cls(
            label=variant.get("InstanceType", "provisioned concurrency"),
            instance_type=variant.get("InstanceType"),
            memory_gb=serverless["MemorySizeInMB"] / 1024 if serverless else 0.0,
            least=target.least if target else count,
            most=target.most if target else count,
        )

    @property
    def most_of(self) -> tuple[str | None, float, int]:
        """What it may grow to."""
        return self.instance_type, self.memory_gb, self.most

    def hour(self, count: int, *, region: str) -> float | None:
        """What so many of it cost for an hour."""
        if count == 0:
            return 0.0
        if self.instance_type is None:
            second = PROVISIONED_GB_SECOND.get(region)
            return None if second is None else second * 3600 * self.memory_gb * count
        each = INSTANCE_HOUR.get(region, {}).get(self.instance_type)
        return None if each is None else each * count


def _capacity_wanted(endpoint: str, desired: Desired) -> list[_Capacity]:
    """Of each variant of the config that an endpoint is to run."""
    config = next(one.config_name for one in desired.endpoints if one.name == endpoint)
    targets = {
        target.name.rpartition("/")[2]: target
        for target in desired.resources
        if isinstance(target, ScalableTarget) and target.endpoint == endpoint
    }
    variants = desired.configs[config].variants
    return [_Capacity.of(variant, targets.get(variant["VariantName"])) for variant in variants]


def _capacity_now(endpoint: str, desired: Desired, current: Current) -> list[_Capacity]:
    """Of each variant of the config that it runs; none where there is none."""
    now = current.endpoints.get(endpoint)
    # Without a `live` it runs the wanted config, or one that is gone.
    runs = (now.live or desired.configs.get(now.config_name)) if now else None
    targets = {
        target.resource_id.rpartition("/")[2]: target
        for target in current.targets
        if target.endpoint == endpoint
    }
    variants = runs.variants if runs else []
    return [_Capacity.of(variant, targets.get(variant["VariantName"])) for variant in variants]


def _million_requests(variant: dict[str, Any], *, region: str, latency_ms: float) -> float | None:
    """Data for all; for serverless the seconds, too. An instance's hours are paid already."""
    data = DATA_GB.get(region)
    if data is None:
        return None
    amount = MILLION * ASSUMED_REQUEST_BYTES / GB * data
    serverless = variant.get("ServerlessConfig")
    if serverless is None:
        return amount
    second = SERVERLESS_GB_SECOND.get(region)
    if second is None:
        return None
    memory_gb: float = serverless["MemorySizeInMB"] / 1024
    return amount + MILLION * latency_ms / 1000 * second * memory_gb


def _sum(amounts: list[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None
