"""How long a plan may take on AWS."""

from __future__ import annotations

import dataclasses

import pytest

from portside.config import Endpoint, EndpointKind, Realtime, RolloutSection, Serverless
from portside.deploy.current.current import Current
from portside.deploy.plan.duration import longest_start_s, upload_s
from portside.deploy.plan.plan import plan
from tests.unit.deploy.deploy_parts import DATA, IMAGE, reached, wanted


def test_what_is_sent_takes_its_time() -> None:
    wish = wanted(data=dataclasses.replace(DATA, size_bytes=50_000_000), image=IMAGE)

    assert upload_s(plan(wish, Current())) == pytest.approx(5.0, abs=0.01)
    assert upload_s(()) == 0


@pytest.mark.parametrize(
    ("settings", "created_s", "moved_s"),
    [
        (Serverless(), 180, 180),
        (Realtime(), 480, 480),
        (Realtime(rollout=RolloutSection(kind="linear", step_percent=25, wait_s=60)), 480, 720),
        (
            Realtime(rollout=RolloutSection(kind="canary", step_percent=5, termination_wait_s=90)),
            480,
            1170,
        ),
    ],
)
def test_an_endpoint_may_take_as_long_as_sagemaker_waits(
    settings: EndpointKind, created_s: float, moved_s: float
) -> None:
    endpoint = Endpoint(name="ner", settings=settings)
    before = wanted(endpoint)
    after = wanted(endpoint, data=dataclasses.replace(DATA, digest="cd" * 32))

    assert longest_start_s(plan(before, Current()), before) == created_s
    assert longest_start_s(plan(after, reached(before, after)), after) == moved_s
    assert longest_start_s(plan(before, reached(before)), before) == 0
