"""Which variant of which deployment answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pytest

from portside.local.capacity.traffic import Running, Traffic
from portside.local.state.deployment import Deployment, Variant
from tests.unit.local.state_fakes import IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.local.capacity.capacity import Capacity

VARIANT = Variant(
    name="first",
    model_name="ner",
    image=IMAGE,
    model_data_url=None,
    environment={},
    weight=1.0,
    instance_count=1,
    serverless=None,
    startup_timeout_s=None,
)


@dataclass
class FakeCapacity:
    variant: Variant


def running(config: str, **weights: float) -> Running:
    variants = tuple(replace(VARIANT, name=name, weight=each) for name, each in weights.items())
    return Running(
        deployment=Deployment(config_name=config, requested_time_ms=1, variants=variants),
        capacities={each.name: cast("Capacity", FakeCapacity(each)) for each in variants},
    )


def places(*spread: float) -> Callable[[], float]:
    left = list(spread)
    return lambda: left.pop(0)


def chosen(traffic: Traffic, *spread: float) -> str | None:
    found = traffic.choose(spread=places(*spread))
    return None if found is None else found.variant.name


@pytest.mark.parametrize(
    ("place", "name"), [(0.0, "first"), (0.24, "first"), (0.26, "second"), (0.999, "second")]
)
def test_variants_get_their_share(place: float, name: str) -> None:
    assert chosen(Traffic(blue=running("one", first=1, second=3)), place) == name


def test_a_variant_of_no_weight_gets_nothing_but_what_is_meant_for_it() -> None:
    traffic = Traffic(blue=running("one", idle=0, first=1))

    assert chosen(traffic, 0.0) == "first"
    assert traffic.choose("idle") is not None
    assert traffic.choose("other") is None


def test_nobody_answers_where_no_variant_has_weight() -> None:
    assert chosen(Traffic(blue=running("one", first=0)), 0.5) is None


@pytest.mark.parametrize(("place", "name"), [(0.09, "new"), (0.11, "old")])
def test_green_gets_its_share(place: float, name: str) -> None:
    traffic = Traffic(blue=running("one", old=1), green=running("two", new=1), share=0.1)

    assert chosen(traffic, place, 0.5) == name


@pytest.mark.parametrize("place", [0.1, 0.9])
@pytest.mark.parametrize("name", ["old", "new"])
def test_who_names_a_variant_of_one_fleet_gets_it_while_traffic_shifts(
    place: float, name: str
) -> None:
    traffic = Traffic(blue=running("one", old=1), green=running("two", new=1), share=0.5)

    found = traffic.choose(name, spread=places(place))

    assert found is not None
    assert found.variant.name == name
