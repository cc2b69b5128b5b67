from __future__ import annotations

from dataclasses import replace

import pytest

from portside.local.capacity.capacity import Occupancy
from portside.local.metric.metric import Invocation, samples
from portside.local.state.deployment import Variant

OCCUPANCY = Occupancy(warm=1, starting=0, outstanding=2)
VARIANT = Variant(
    name="AllTraffic",
    model_name="ner",
    image="image",
    model_data_url=None,
    environment={},
    weight=1.0,
    instance_count=4,
    serverless=None,
    startup_timeout_s=None,
)
SERVERLESS = replace(
    VARIANT,
    instance_count=0,
    serverless={"MemorySizeInMB": 1024, "MaxConcurrency": 4, "ProvisionedConcurrency": 2},
)
GOOD = Invocation(
    time_ms=0,
    endpoint="ner",
    variant="AllTraffic",
    fault=None,
    model_status=200,
    model_s=0.0012345,
    overhead_s=0.0005,
    setup_s=0.0,
    concurrent=2,
)


def values(seen: Invocation, variant: Variant = VARIANT) -> dict[str, float]:
    return {name: value for name, _, value in samples(seen, variant, OCCUPANCY)}


def test_a_good_invocation() -> None:
    assert values(GOOD) == {
        "Invocations": 1,
        "InvocationsPerInstance": 0.25,
        "Invocation4XXErrors": 0,
        "Invocation5XXErrors": 0,
        "InvocationModelErrors": 0,
        "OverheadLatency": 500,
        "ModelLatency": 1230,  # to three digits
        "ConcurrentRequestsPerModel": 2,
    }


@pytest.mark.parametrize(
    ("fault", "status", "errors"),
    [
        (424, 400, (1, 0, 1)),
        (424, 503, (0, 1, 1)),
        (424, 302, (0, 1, 1)),
        (424, 200, (0, 1, 1)),  # over the limit
        (424, 0, (0, 1, 1)),  # no answer: "server error (0)"
        (400, None, (1, 0, 0)),  # throttled before the model was asked
        (503, None, (0, 1, 0)),
    ],
)
def test_whose_error_it_was(fault: int, status: int | None, errors: tuple[int, ...]) -> None:
    seen = values(replace(GOOD, fault=fault, model_status=status))

    counted = ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    assert tuple(seen[name] for name in counted) == errors
    assert ("ModelLatency" in seen) == (status is not None)


def test_a_stream_tells_of_its_first_chunk() -> None:
    seen = values(
        replace(
            GOOD,
            is_stream=True,
            first_chunk_s=0.3,
            first_chunk_model_s=0.1,
            broke_mid_stream=True,
        )
    )

    assert seen["MidStreamErrors"] == 1
    assert seen["FirstChunkLatency"] == 300_000
    assert seen["FirstChunkModelLatency"] == 100_000
    assert seen["FirstChunkOverheadLatency"] == 200_000


def test_only_a_cold_start_has_a_setup_time() -> None:
    assert "ModelSetupTime" not in values(GOOD, SERVERLESS)
    assert values(replace(GOOD, setup_s=1.5), SERVERLESS)["ModelSetupTime"] == 1_500_000


def test_serverless_tells_how_much_of_its_concurrency_is_used() -> None:
    spilled, provisioned = (
        values(replace(GOOD, is_provisioned=each), SERVERLESS) for each in (False, True)
    )

    assert spilled["ServerlessConcurrentExecutionsUtilization"] == 0.75
    assert spilled["ServerlessProvisionedConcurrencyUtilization"] == 1
    assert spilled["ServerlessProvisionedConcurrencyExecutions"] == 2
    assert spilled["ServerlessProvisionedConcurrencySpilloverInvocations"] == 1
    assert "ServerlessProvisionedConcurrencySpilloverInvocations" not in provisioned
    assert provisioned["ServerlessProvisionedConcurrencyInvocations"] == 1
