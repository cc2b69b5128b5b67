"""A state file as the first version of the local SageMaker left it."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from portside.local.state.deployment import Endpoint, Variant
from portside.local.state.endpoint_state import EndpointStatus
from portside.local.state.migration import MIGRATIONS
from portside.local.state.resource import Kind
from portside.local.state.store import Store
from tests.unit.local.state_fakes import ACCOUNT, ARN, IMAGE, REGION, URL

if TYPE_CHECKING:
    from pathlib import Path

FIRST_DEPLOYMENT: dict[str, Any] = {
    "config_name": "one",
    "variant": {
        "name": "AllTraffic",
        "model_name": "ner",
        "image": IMAGE,
        "model_data_url": URL,
        "environment": {"A": "it's {1}"},
        "weight": 1.0,
        "instance_count": 2,
        "serverless": None,
        "startup_timeout_s": None,
    },
    "requested_time_ms": 7,
    "resolved_image": f"{IMAGE}@sha256:0",
    "resolution_time_ms": 8,
    "model_data_digest": "d" * 64,
}
FIRST_PENDING = FIRST_DEPLOYMENT | {
    "config_name": "two",
    "resolved_image": None,
    "resolution_time_ms": None,
    "model_data_digest": None,
}
VARIANT = Variant(
    name="AllTraffic",
    model_name="ner",
    image=IMAGE,
    model_data_url=URL,
    environment={"A": "it's {1}"},
    weight=1.0,
    instance_count=2,
    serverless=None,
    startup_timeout_s=None,
    resolved_image=f"{IMAGE}@sha256:0",
    resolution_time_ms=8,
    model_data_digest="d" * 64,
)


def first_file(path: Path, members: dict[str, Any]) -> None:
    """The layout and the row, written as the first version wrote them."""
    connection = sqlite3.connect(path)
    (number, layout), *_ = MIGRATIONS
    assert number == 1
    connection.executescript(layout)
    row = ("endpoint", ACCOUNT, REGION, "NER", "ner", 1, 2, "Updating", json.dumps(members))
    connection.execute(
        "INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (f"{ARN}endpoint/ner", *row)
    )
    connection.execute("INSERT INTO tag VALUES (?, 'a', '1')", (f"{ARN}endpoint/ner",))
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


def opened(path: Path) -> tuple[Endpoint, dict[str, str]]:
    store = Store.open(path)
    try:
        (resource,) = store.all_of(Kind.ENDPOINT)
        return Endpoint.of(resource), store.tags(resource.arn)
    finally:
        store.close()


def test_an_endpoint_of_the_first_layout_is_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    first_file(
        path,
        {"deployment": FIRST_DEPLOYMENT, "pending": FIRST_PENDING, "failure_reason": "a reason"},
    )

    endpoint, tags = opened(path)

    assert endpoint.deployment is not None
    assert endpoint.pending is not None
    assert endpoint.deployment.variants == (VARIANT,)
    assert endpoint.deployment.config_name == "one"
    assert endpoint.pending.config_name == "two"
    assert endpoint.pending.variants[0].resolved_image is None
    assert (endpoint.name, endpoint.status) == ("NER", EndpointStatus.UPDATING)
    assert (endpoint.is_scaling, endpoint.stage, endpoint.failure_reason) == (
        False,
        None,
        "a reason",
    )
    assert tags == {"a": "1"}


@pytest.mark.parametrize("absent", ["deployment", "pending"])
def test_what_an_endpoint_has_not_it_has_not_after(tmp_path: Path, absent: str) -> None:
    path = tmp_path / "state.sqlite3"
    members = {"deployment": FIRST_DEPLOYMENT, "pending": FIRST_PENDING, "failure_reason": None}
    first_file(path, members | {absent: None})

    endpoint, _ = opened(path)

    assert getattr(endpoint, absent) is None
    assert opened(path)[0] == endpoint  # opened again, nothing is changed again
