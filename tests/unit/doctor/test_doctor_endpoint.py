"""An endpoint that went wrong: what is read of its log, and what of its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from portside.aws.session import Session
from portside.doctor.log.gather import diagnose_endpoint

NOW = datetime.now(UTC)
OLD, NEW = "ner-0000000000", "ner-1111111111"
NO_PING = "The primary container did not pass the ping health check."


@dataclass
class FakeAws:
    """An endpoint that was deployed an hour and a minute ago, with a line of each time.

    It is what all the services' clients are.
    """

    state: dict[str, Any]
    configs: dict[str, timedelta] = field(
        default_factory=lambda: {OLD: timedelta(hours=1), NEW: timedelta(minutes=1)}
    )
    latency_s: float = 0.0
    may_list: bool = True

    @property
    def session(self) -> Session:
        return cast("Session", self)

    @property
    def sagemaker(self) -> FakeAws:
        return self

    logs = cloudwatch = sagemaker

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        named = {"EndpointName": "ner", "EndpointArn": "arn", "EndpointConfigName": NEW}
        return {**named, "EndpointStatus": "InService", **self.state}

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803 - as AWS
        variants = [{"VariantName": "AllTraffic"}]
        made = NOW - self.configs[EndpointConfigName]
        return {"ProductionVariants": variants, "CreationTime": made}

    def get_paginator(self, operation: str) -> FakePages:
        if operation == "get_metric_data":
            value = {"Id": "m0", "Timestamps": [NOW], "Values": [self.latency_s * 1e6]}
            return FakePages([{"MetricDataResults": [value]}])
        if not self.may_list:
            details = {"Code": "AccessDeniedException", "Message": "not authorized"}
            raise ClientError({"Error": details}, "ListEndpointConfigs")
        others = {"ner-more-2222222222": timedelta(0)}
        listed = [
            {"EndpointConfigName": name, "EndpointConfigArn": "arn", "CreationTime": NOW - age}
            for name, age in (self.configs | others).items()
        ]
        return FakePages([{"EndpointConfigs": listed}])

    def describe_log_streams(self, **_: object) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": "AllTraffic/i-1"}]}

    def get_log_events(self, **_: object) -> dict[str, Any]:
        said = [(timedelta(minutes=59), "old"), (timedelta(seconds=30), "new")]
        events = [
            {
                "timestamp": int(1000 * (NOW - age).timestamp()),
                "message": f"ModuleNotFoundError: No module named '{name}'",
            }
            for age, name in said
        ]
        return {"events": events, "nextBackwardToken": "b"}


@dataclass
class FakePages:
    """What a paginator gives."""

    pages: list[dict[str, Any]]

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        return self.pages


def modules(aws: FakeAws) -> list[str]:
    """Which modules are told to be missing."""
    found = diagnose_endpoint(aws.session, "ner")
    return [each.what.partition("`import ")[2].partition("`")[0] for each in found]


ROLLED_BACK = {"EndpointConfigName": OLD, "LastModifiedTime": NOW - timedelta(seconds=10)}


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({}, ["new"]),
        ({"EndpointStatus": "Failed", "FailureReason": NO_PING}, ["new"]),
        ({"EndpointConfigName": OLD, "FailureReason": NO_PING}, ["new"]),
        ({"EndpointConfigName": OLD, "EndpointStatus": "Updating"}, ["new"]),
        (ROLLED_BACK, []),
    ],
    ids=["updated", "failed", "went back", "updating", "rolled back"],
)
def test_only_what_the_last_deployment_printed_is_read(
    state: dict[str, Any], found: list[str]
) -> None:
    assert modules(FakeAws(state=state)) == found


def test_of_an_endpoint_that_was_deployed_once_all_is_read() -> None:
    aws = FakeAws(state={"EndpointConfigName": OLD}, configs={OLD: timedelta(hours=1)})

    assert modules(aws) == ["old", "new"]


def test_who_may_not_list_configs_is_told_of_the_one_in_use() -> None:
    assert modules(FakeAws(state={}, may_list=False)) == ["new"]


def test_the_place_is_the_stream_and_the_time() -> None:
    (found,) = diagnose_endpoint(FakeAws(state={}).session, "ner")

    time = NOW - timedelta(seconds=30)
    assert found.where == f"/aws/sagemaker/Endpoints/ner:AllTraffic/i-1 {time:%H:%M:%S} UTC"


@pytest.mark.parametrize(("latency_s", "found"), [(60.01, ["timed-out"]), (12.0, [])])
def test_an_answer_that_did_not_come_is_known_by_what_was_measured(
    latency_s: float, found: list[str]
) -> None:
    aws = FakeAws(state=ROLLED_BACK, latency_s=latency_s)

    assert [each.check for each in diagnose_endpoint(aws.session, "ner")] == found
