"""Who has outlived its use, and what goes with it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from portside.aws.session import Session
from portside.deploy.current.current import Owned
from portside.deploy.desired.resources import Kind
from portside.deploy.inventory import (
    REAP,
    Holding,
    left_by_cut,
    overdue,
    owned_by,
    take_inventory,
)
from portside.deploy.plan.plan import plan_removal
from portside.deploy.removal import PATIENCE_S, check_gone
from portside.deploy.run.journal import DONE, INTERRUPTED, Entry
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


# --- A `reap` that was cut ----------------------------------------------------------

SHARED = Owned(kind=Kind.ARTIFACT, name="s3://b/ner/artifacts/1/model.tar.gz")
ROLE = Owned(kind=Kind.ROLE, name="portside-r-ner-a")
ALL = (
    Owned(kind=Kind.ENDPOINT, name="ner-a"),
    Owned(kind=Kind.CONFIG, name="ner-a-0123456789"),
    *owned("ner-a-0123456789"),
    SHARED,
    ROLE,
)


def entry(removes: tuple[Owned, ...] = ALL, *, result: str = INTERRUPTED) -> Entry:
    return Entry(
        run="1",
        time="",
        command=REAP,
        who="",
        plan="",
        steps=tuple(step.id for step in plan_removal(removes)),
        result=result,
    )


@pytest.mark.parametrize("result", [INTERRUPTED, "cannot delete the Model"])
def test_what_a_reap_that_was_cut_left_is_found_again(result: str) -> None:
    assert left_by_cut([entry(result=result)], ALL[1:], living=(), region="r") == ALL[1:]


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [entry(result=DONE)],
        # Who deployed since wants what there is.
        [replace(entry(), command="portside deploy"), entry()],
    ],
)
def test_what_no_reap_has_left_is_not(entries: list[Entry]) -> None:
    assert left_by_cut(entries, ALL[1:], living=(), region="r") == ()


def test_what_was_not_to_go_stays() -> None:
    later = owned("ner-a-ffffffffff")

    assert left_by_cut([entry()], ALL[1:] + later, living=(), region="r") == ALL[1:]


def test_what_endpoints_need_that_live_stays() -> None:
    assert left_by_cut([entry()], ALL, living=["ner-a"], region="r") == ()
    assert left_by_cut([entry()], ALL[1:], living=["ner-b"], region="r") == (*ALL[1:3], ROLE)


# --- Asking -------------------------------------------------------------------------

ENDPOINTS = [
    {
        "EndpointName": f"theirs-{number}",
        "EndpointArn": f"arn-{number}",
        "CreationTime": datetime.fromtimestamp(NOW, UTC),
        "EndpointStatus": "InService",
    }
    for number in range(8)
]


class FakePaginator:
    """The endpoints; their tags only where four are asked for at the same time."""

    def __init__(self, operation: str, asking: threading.Barrier) -> None:
        self._operation = operation
        self._asking = asking

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        if self._operation == "list_endpoints":
            return [{"Endpoints": ENDPOINTS}]
        self._asking.wait(timeout=5)
        return [{"Tags": []}]


class FakeSession:
    """A session with SageMaker alone, itself its client."""

    def __init__(self) -> None:
        self.sagemaker = self
        self._asking = threading.Barrier(4)

    def get_paginator(self, operation: str) -> FakePaginator:
        return FakePaginator(operation, self._asking)


def test_tags_are_asked_for_several_at_a_time() -> None:
    assert take_inventory(cast("Session", FakeSession()), now=NOW) == ()
