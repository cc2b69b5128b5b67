"""What is shown of AWS's descriptions of an endpoint."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portside.console.endpoint import Tone, view_endpoint
from tests.unit.console.console_fakes import NOW, make_described

BLUE = {
    "VariantName": "AllTraffic",
    "CurrentWeight": 3.0,
    "DesiredWeight": 1.0,
    "CurrentInstanceCount": 2,
    "DesiredInstanceCount": 4,
}
GREEN = {"VariantName": "green", "CurrentWeight": 1.0, "CurrentInstanceCount": 1}


@pytest.mark.parametrize(
    ("status", "tone", "answers", "is_at_rest"),
    [
        ("InService", Tone.GOOD, True, True),
        ("Creating", Tone.BUSY, False, False),
        ("Updating", Tone.BUSY, True, False),
        ("SystemUpdating", Tone.BUSY, True, False),
        ("RollingBack", Tone.BUSY, True, False),
        ("Deleting", Tone.BUSY, False, False),
        ("Failed", Tone.BAD, False, True),
        ("OutOfService", Tone.BAD, False, True),
        ("UpdateRollbackFailed", Tone.BAD, True, True),
    ],
)
def test_states(status: str, tone: Tone, *, answers: bool, is_at_rest: bool) -> None:
    shown = view_endpoint(make_described(EndpointStatus=status))

    assert (shown.tone, shown.answers, shown.is_at_rest) == (tone, answers, is_at_rest)


def test_a_serverless_variant() -> None:
    (variant,) = view_endpoint(make_described()).variants

    assert variant.capacity == "serverless · 2048 MB · up to 5 at once"
    assert (variant.model, variant.image, variant.weight) == ("ner-model", "runtime:1", "1")
    assert variant.is_serverless


def test_concurrency_that_is_kept_and_changes() -> None:
    config = {"MemorySizeInMB": 1024, "MaxConcurrency": 5}
    summary = {
        "VariantName": "AllTraffic",
        "CurrentServerlessConfig": config,
        "DesiredServerlessConfig": config | {"ProvisionedConcurrency": 2},
    }
    (variant,) = view_endpoint(make_described(ProductionVariants=[summary])).variants

    assert variant.capacity == (
        "serverless · 1024 MB · up to 5 at once → "
        "serverless · 1024 MB · up to 5 at once · 2 kept warm"
    )
    assert variant.weight == ""


def test_variants_share_the_traffic_by_weight() -> None:
    shown = view_endpoint(make_described(ProductionVariants=[BLUE, GREEN]))
    blue, green = shown.variants

    assert (blue.weight, blue.share, green.share) == ("3 → 1", 0.75, 0.25)
    assert (blue.capacity, green.capacity) == ("2 → 4 instances", "1 instance")
    assert shown.capacity == "2 → 4 instances, 1 instance"


def test_the_instance_type_is_the_configs() -> None:
    described = make_described(ProductionVariants=[GREEN | {"VariantName": "AllTraffic"}])
    assert described.config is not None
    described.config["ProductionVariants"][0]["InstanceType"] = "ml.m5.large"

    assert view_endpoint(described).capacity == "1 \N{MULTIPLICATION SIGN} ml.m5.large"


def test_of_a_new_endpoint_the_config_that_is_coming_is_known() -> None:
    variant = {"VariantName": "AllTraffic", "DesiredInstanceCount": 2}
    for config_name, model in (("ner-1", "ner-model"), ("ner-2", "")):
        summary = {"EndpointConfigName": config_name, "ProductionVariants": [variant]}
        shown = view_endpoint(make_described(PendingDeploymentSummary=summary))

        assert [coming.model for coming in shown.pending] == [model]


def test_shadow_variants_have_no_share() -> None:
    _, shadow = view_endpoint(make_described(ShadowProductionVariants=[GREEN])).variants

    assert (shadow.is_shadow, shadow.share) == (True, None)


def test_what_is_pending() -> None:
    began = NOW - timedelta(seconds=40)
    stage = {"Status": "Baking", "StatusMessage": "a minute to go"}
    coming = {"VariantName": "green", "DesiredInstanceCount": 3, "VariantStatus": [stage]}
    summary = {
        "EndpointConfigName": "ner-2",
        "StartTime": began,
        "ProductionVariants": [coming],
    }
    shown = view_endpoint(
        make_described(
            EndpointStatus="Creating", ProductionVariants=None, PendingDeploymentSummary=summary
        )
    )

    assert (shown.pending_config, shown.variants) == ("ner-2", [])
    assert shown.pending[0].stages == ["Baking: a minute to go"]
    assert shown.capacity == "3 instances"
    assert (shown.history[0].title, shown.history[0].time) == ("Deployment of ner-2 began", began)


def test_history_is_what_aws_tells_newest_first() -> None:
    shown = view_endpoint(make_described())

    assert [(event.title, event.time) for event in shown.history] == [
        ("Last change: InService", NOW - timedelta(minutes=12)),
        ("Created", NOW - timedelta(days=2)),
        ("EndpointConfig ner-1 made", NOW - timedelta(days=3)),
    ]


def test_a_failure_stands_in_the_history() -> None:
    shown = view_endpoint(make_described(FailureReason="no such image"))

    assert (shown.reason, shown.tone) == ("no such image", Tone.GOOD)
    assert shown.history[0].tone is Tone.BAD


def test_an_endpoint_whose_config_is_gone() -> None:
    described = make_described()
    gone = type(described)(endpoint=described.endpoint, config=None)

    assert [event.title for event in view_endpoint(gone).history] == [
        "Last change: InService",
        "Created",
    ]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "CANARY",
                        "WaitIntervalInSeconds": 60,
                        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
                    }
                },
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
            },
            "blue/green, canary, 10 % first, 60 s between, back on errors",
        ),
        (
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "LINEAR",
                        "WaitIntervalInSeconds": 0,
                        "LinearStepSize": {"Type": "INSTANCE_COUNT", "Value": 2},
                    }
                }
            },
            "blue/green, linear, 2 instances at a time",
        ),
        (
            {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE"}}},
            "blue/green, all at once",
        ),
        (
            {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 5}}},
            "rolling, 5 % at a time",
        ),
    ],
)
def test_deployment_policies_in_words(config: dict[str, object], words: str) -> None:
    facts = dict(view_endpoint(make_described(LastDeploymentConfig=config)).facts)

    assert facts["Last deployment"] == words


def test_data_capture_is_told_where_it_is_on() -> None:
    capture = {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 50,
        "DestinationS3Uri": "s3://bucket/captured",
    }
    on = view_endpoint(make_described(DataCaptureConfig=capture))
    off = view_endpoint(make_described(DataCaptureConfig=capture | {"EnableCapture": False}))

    assert dict(on.facts)["Data capture"] == "Started, 50 % to s3://bucket/captured"
    assert "Data capture" not in dict(off.facts)
