"""Who has outlived its use, and what goes with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portside.deploy.current.current import Owned
from portside.deploy.desired.resources import Kind
from portside.deploy.inventory import Holding, overdue, owned_by
from portside.deploy.removal import PATIENCE_S, check_gone
from portside.errors import DeployError

HOUR_S = 3600
NOW = 1_000_000.0
FRESH = Holding(
    project="ner",
    endpoint="ner",
    kind="serverless",
    status="InService",
    created_at=NOW - 10 * HOUR_S,
    idle_month=0.0,
    invoked_at=None,
    ttl_h=None,
)


@pytest.mark.parametrize(
    ("holding", "idle_h", "reason"),
    [
        (FRESH, None, None),
        (replace(FRESH, ttl_h=11), None, None),
        (replace(FRESH, ttl_h=10), None, "its ttl of 10 h is over"),
        (FRESH, 9, "nobody has called it for 10 h"),
        (FRESH, 11, None),
        (replace(FRESH, invoked_at=NOW - HOUR_S), 9, None),
        (replace(FRESH, invoked_at=NOW - HOUR_S, ttl_h=10), 9, "its ttl of 10 h is over"),
    ],
)
def test_a_ttl_counts_from_the_creation_and_idleness_from_the_last_use(
    holding: Holding, idle_h: int | None, reason: str | None
) -> None:
    found = overdue([holding], now=NOW, idle_h=idle_h)

    assert [one.reason for one in found] == ([] if reason is None else [reason])


def owned(*names: str) -> tuple[Owned, ...]:
    return tuple(Owned(kind=Kind.MODEL, name=name) for name in names)


def test_an_endpoint_goes_without_what_others_need() -> None:
    own = owned(
        "ner-a",
        "ner-a-0123456789",
        "endpoint/ner-a/variant/AllTraffic",
        "portside-r-ner-a",
        "portside-ner-a-wake",
    )
    shared = owned("ner-b", "ner-b-0123456789", "ner-a-b-0123456789", "portside-r-ner-b", "s3://b")

    assert owned_by(["ner-a"], own + shared, region="r") == own


def test_what_is_gone_a_little_later_is_gone() -> None:
    looks = [owned("ner"), owned("ner"), ()]
    slept: list[float] = []

    check_gone(lambda: looks.pop(0), sleep=slept.append, clock=lambda: 0.0)

    assert slept == [0.5, 1.0]


def test_what_stays_is_named() -> None:
    now = [0.0]

    def sleep(pause_s: float) -> None:
        now[0] += pause_s

    with pytest.raises(DeployError, match="something is left: Model `ner-1`, Model `ner-2`"):
        check_gone(lambda: owned("ner-1", "ner-2"), sleep=sleep, clock=lambda: now[0])

    assert now[0] > PATIENCE_S
