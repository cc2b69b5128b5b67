"""What endpoints cost, as far as it is known; and who has to agree before it does."""

from __future__ import annotations

import msgspec
import pytest

from portside.config import (
    Async,
    AsyncScalingSection,
    Endpoint,
    EndpointKind,
    Realtime,
    ScalingSection,
    Serverless,
    VariantSection,
)
from portside.deploy.current.current import Current
from portside.deploy.desired.resources import Where
from portside.deploy.plan.plan import plan
from portside.deploy.price.price import Price, check_budget, dollars, prices, sentences
from portside.deploy.price.price_table import INSTANCE_HOUR
from portside.errors import DeployError
from tests.unit.deploy.deploy_parts import project, reached, wanted

VIRGINIA = Where(account="123456789012", region="us-east-1")


def price(settings: EndpointKind, *, region: str = "us-east-1", **more: float) -> Price:
    wish = wanted(Endpoint(name="ner", settings=settings))
    (found,) = prices(wish, region=region, **more)
    return found


def test_serverless_costs_by_the_second_alone() -> None:
    found = price(Serverless(), latency_ms=50)

    assert (found.hour, found.most_month) == (0, 0)
    assert not found.costs_while_idle
    # 50,000 s of 2 GB at $0.00002, and 2 GB of data at $0.016.
    assert found.million_requests == pytest.approx(2.0 + 0.032)


def test_instances_cost_by_the_hour() -> None:
    found = price(Realtime(instance_count=2))

    assert found.hour == pytest.approx(0.23)
    assert found.idle_month == pytest.approx(167.90)
    assert found.million_requests == pytest.approx(0.032)


def test_each_variant_counts() -> None:
    variants = (
        VariantSection(name="a"),
        VariantSection(name="b", instance_type="ml.g5.xlarge", instance_count=2),
    )

    assert price(Realtime(variants=variants)).hour == pytest.approx(0.115 + 2 * 1.408)


def test_auto_scaling_has_a_least_and_a_most() -> None:
    scaled = price(Realtime(scaling=ScalingSection(max_instances=4, target=100)))
    waking = price(Async(scaling=AsyncScalingSection(max_instances=2)))

    assert (scaled.hour, scaled.most_hour) == (0.115, 0.46)
    assert (waking.hour, waking.most_hour) == (0, 0.23)


@pytest.mark.parametrize(
    ("settings", "region"),
    [
        (Realtime(instance_type="ml.z9.huge"), "us-east-1"),
        (Realtime(), "ap-south-2"),
        (Serverless(provisioned_concurrency=1), "us-east-1"),
    ],
)
def test_what_is_not_known_is_said_to_be_unknown(settings: EndpointKind, region: str) -> None:
    found = price(settings, region=region)

    assert (found.hour, found.idle_month) == (None, None)
    assert found.costs_while_idle
    assert "unknown while idle" in sentences(found)[0]
    assert any("no known price of" in line for line in sentences(found))


def test_a_price_says_what_it_stands_on() -> None:
    assumed, measured = sentences(price(Serverless())), sentences(price(Serverless(), latency_ms=7))

    assert assumed[0] == "ner: nothing while idle"
    assert "100 ms, assumed" in assumed[1]
    assert "7 ms, measured here" in measured[1]
    assert "aws.amazon.com/sagemaker/pricing" in assumed[-1]


def test_amounts_read_well() -> None:
    amounts = [dollars(amount) for amount in (0, 0.0032, 0.115, 83.95, 14862.8)]
    assert amounts == ["$0.00", "$0.0032", "$0.12", "$83.95", "$14,862.80"]


@pytest.mark.parametrize("region", INSTANCE_HOUR)
def test_larger_instances_of_a_family_cost_more(region: str) -> None:
    table = INSTANCE_HOUR[region]
    for family in {name.split(".")[1] for name in table} - {"g4dn", "g5"}:  # cards differ there
        order = [hour for name, hour in table.items() if name.split(".")[1] == family]
        assert order == sorted(order)


# --- Who has to agree ------------------------------------------------------------------


def ask(settings: EndpointKind, *, before: EndpointKind | None = None) -> None:
    ask_for(
        [Endpoint(name="ner", settings=settings)],
        before=[Endpoint(name="ner", settings=before)] if before else [],
    )


def ask_for(endpoints: list[Endpoint], *, before: list[Endpoint], where: Where = VIRGINIA) -> None:
    wish = wanted(*endpoints, where=where)
    was = wanted(*before, where=where) if before else None
    is_same = was is not None and was.configs == wish.configs
    current = Current() if was is None else reached(was, None if is_same else wish)
    check_budget(
        project(*endpoints),
        prices(wish, region=where.region),
        steps=plan(wish, current),
        desired=wish,
        current=current,
        region=where.region,
    )


@pytest.mark.parametrize(
    "settings",
    [
        Realtime(),
        Realtime(budget=83.0),
        Realtime(instance_type="ml.g5.xlarge", budget=1000),
        Realtime(budget=100, scaling=ScalingSection(max_instances=2, target=1)),
        Realtime(instance_type="ml.z9.huge", budget=10_000),
        Async(),
        Serverless(provisioned_concurrency=1),
    ],
)
def test_what_costs_while_idle_is_not_made_unasked(settings: EndpointKind) -> None:
    with pytest.raises(DeployError, match="cannot deploy `ner` unasked") as caught:
        ask(settings)

    assert "--yes" in (caught.value.hint or "")
    assert "budget" in (caught.value.hint or "")


@pytest.mark.parametrize("settings", [Serverless(), Realtime(budget=84)])
def test_what_costs_nothing_or_is_within_its_budget_is_made(settings: EndpointKind) -> None:
    ask(settings)


def test_nobody_is_asked_twice_for_the_same_price() -> None:
    before = Realtime()

    ask(msgspec.structs.replace(before, environment={"A": "1"}), before=before)
    for dearer in (Realtime(instance_count=2), Realtime(instance_type="ml.g5.xlarge")):
        with pytest.raises(DeployError, match="unasked"):
            ask(dearer, before=before)
    with pytest.raises(DeployError, match="unasked"):
        ask(before, before=Serverless())


def test_auto_scaling_that_may_go_further_is_asked_about_without_a_new_config() -> None:
    before = Realtime(scaling=ScalingSection(max_instances=2, target=1))
    wider = Realtime(scaling=ScalingSection(max_instances=50, target=1))

    ask(Realtime(scaling=ScalingSection(max_instances=2, target=9)), before=before)
    ask(Realtime(), before=before)
    for dearer, was in ((wider, before), (before, Realtime())):
        with pytest.raises(DeployError, match="unasked"):
            ask(dearer, before=was)


def test_what_one_endpoint_may_grow_to_says_nothing_of_another() -> None:
    def two(*, small: int) -> list[Endpoint]:
        sizes = {"ner-small": small, "ner-wide": 9}
        return [
            Endpoint(
                name=name,
                settings=Realtime(scaling=ScalingSection(max_instances=most, target=1)),
            )
            for name, most in sizes.items()
        ]

    with pytest.raises(DeployError, match="`ner-small` unasked"):
        ask_for(two(small=5), before=two(small=2))


def test_the_same_capacity_is_no_dearer_where_nobody_knows_its_price() -> None:
    def one(count: int, **environment: str) -> list[Endpoint]:
        settings = Realtime(instance_count=count, environment=environment)
        return [Endpoint(name="ner", settings=settings)]

    tokyo = Where(account="123456789012", region="ap-northeast-1")

    ask_for(one(2, A="1"), before=one(2), where=tokyo)
    with pytest.raises(DeployError, match="nobody knows what it costs"):
        ask_for(one(3), before=one(2), where=tokyo)
