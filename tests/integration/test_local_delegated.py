"""CloudWatch metrics, SNS and Application Auto Scaling by boto3, before and after `kill -9`."""

from __future__ import annotations

import queue
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from portside.local.data_folder import read_keys
from tests.integration.local_edge import Local, end, start

VARIANT = [{"Name": "EndpointName", "Value": "ner"}, {"Name": "VariantName", "Value": "v"}]
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/ner/variant/v",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


FORMULA = {"Id": "e", "Expression": "m * 2"}
MONDAY, TUESDAY = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)
A_DAY = {"StartTime": MONDAY, "EndTime": TUESDAY}
INFINITE = {"MetricName": "m", "Value": float("inf")}
ODD_ALARM = {
    "AlarmName": "odd",
    "MetricName": "m",
    "Namespace": "N",
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
NO_TIME = {"StartTime": TUESDAY, "EndTime": MONDAY}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    local = start(tmp_path_factory.mktemp("local"))
    yield local
    end(local)


def put(cloud_watch: Any, name: str, *values: float, at: datetime) -> None:
    data = {"MetricName": name, "Dimensions": VARIANT, "Timestamp": at, "Values": list(values)}
    cloud_watch.put_metric_data(Namespace="AWS/SageMaker", MetricData=[data])


def alarm(cloud_watch: Any, name: str, **changed: Any) -> None:
    settings = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "Errors",
        "Dimensions": VARIANT,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 2.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    cloud_watch.put_metric_alarm(AlarmName=name, **(settings | changed))


def states(cloud_watch: Any, *names: str) -> list[str]:
    found = cloud_watch.describe_alarms(AlarmNames=list(names))["MetricAlarms"]
    by_name = {each["AlarmName"]: each["StateValue"] for each in found}
    return [by_name[name] for name in names]


# --- CloudWatch --------------------------------------------------------------


def test_what_was_measured_is_told_by_statistics_and_queries(local: Local) -> None:
    cloud_watch = local.client("cloudwatch")
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    put(cloud_watch, "ModelLatency", 10.0, 20.0, 30.0, at=minute)
    put(cloud_watch, "ModelLatency", 7.0, at=minute + timedelta(seconds=61))
    window = {"StartTime": minute, "EndTime": minute + timedelta(minutes=3)}

    points = cloud_watch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=VARIANT,
        Period=60,
        Statistics=["Sum", "Average", "Minimum", "Maximum", "SampleCount"],
        **window,
    )["Datapoints"]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency", "Dimensions": VARIANT}
    (p50,) = cloud_watch.get_metric_data(
        MetricDataQueries=[
            {"Id": "p50", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "p50"}}
        ],
        **window,
    )["MetricDataResults"]

    first, second = sorted(points, key=lambda point: point["Timestamp"])
    assert first == {
        "Timestamp": minute,
        "Sum": 60.0,
        "Average": 20.0,
        "Minimum": 10.0,
        "Maximum": 30.0,
        "SampleCount": 3.0,
        "Unit": "None",
    }
    assert (second["Timestamp"], second["Sum"]) == (minute + timedelta(minutes=1), 7.0)
    assert (p50["Values"], p50["StatusCode"]) == ([7.0, 20.0], "Complete")
    assert p50["Timestamps"] == [minute + timedelta(minutes=1), minute]
    listed = cloud_watch.list_metrics(MetricName="ModelLatency")["Metrics"]
    assert [each["Dimensions"] for each in listed] == [VARIANT]


def test_many_metrics_at_once_are_sent_compressed_and_listed_in_pages(local: Local) -> None:
    cloud_watch = local.client("cloudwatch")
    data = [{"MetricName": f"metric-{number:04}", "Value": 1.0} for number in range(700)]

    cloud_watch.put_metric_data(Namespace="Many", MetricData=data)

    pages = cloud_watch.get_paginator("list_metrics").paginate(Namespace="Many")
    found = [metric["MetricName"] for page in pages for metric in page["Metrics"]]
    assert found == [each["MetricName"] for each in data]


def test_an_alarm_goes_with_its_metric(local: Local) -> None:
    cloud_watch = local.client("cloudwatch")
    alarm(cloud_watch, "errors")
    assert states(cloud_watch, "errors") == ["INSUFFICIENT_DATA"]

    put(cloud_watch, "Errors", 1.0, 1.0, 1.0, at=datetime.now(UTC) - timedelta(seconds=60))
    assert states(cloud_watch, "errors") == ["ALARM"]

    cloud_watch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="tried out")
    assert states(cloud_watch, "errors") == ["OK"]
    cloud_watch.delete_alarms(AlarmNames=["errors"])
    assert cloud_watch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"] == []


def test_an_alarm_on_one_query_is_evaluated_and_one_on_a_formula_is_not(local: Local) -> None:
    cloud_watch = local.client("cloudwatch")
    metric = {"Namespace": "Queried", "MetricName": "m", "Dimensions": []}
    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}
    settings = {
        "EvaluationPeriods": 1,
        "Threshold": 0.5,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    for name, metrics in (
        ("query", [query]),
        ("formula", [query | {"ReturnData": False}, FORMULA]),
    ):
        cloud_watch.put_metric_alarm(AlarmName=name, Metrics=metrics, **settings)
    cloud_watch.put_metric_data(Namespace="Queried", MetricData=[{"MetricName": "m", "Value": 1.0}])

    assert states(cloud_watch, "query", "formula") == ["ALARM", "INSUFFICIENT_DATA"]


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        (
            "set_alarm_state",
            {"AlarmName": "no", "StateValue": "OK", "StateReason": "x"},
            "ResourceNotFound",
        ),
        ("describe_alarm_history", {}, "NotImplementedException"),
        ("put_metric_alarm", {**ODD_ALARM, "TreatMissingData": "odd"}, "ValidationError"),
        ("put_metric_alarm", {**ODD_ALARM, "Period": 7}, "ValidationError"),
        ("put_metric_data", {"Namespace": "N", "MetricData": [INFINITE]}, "InvalidParameterValue"),
        ("get_metric_data", {"MetricDataQueries": [FORMULA], **A_DAY}, "ValidationError"),
        ("get_metric_data", {"MetricDataQueries": [], **NO_TIME}, "ValidationError"),
    ],
)
def test_what_cloud_watch_refuses(
    local: Local, operation: str, arguments: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(local.client("cloudwatch"), operation)(**arguments)

    assert caught.value.response["Error"]["Code"] == code


def test_an_older_client_speaks_the_query_protocol(local: Local) -> None:
    keys = read_keys(local.folder)
    form = "Action=ListMetrics&Version=2010-08-01&Namespace=Nobody"
    request = AWSRequest(
        method="POST",
        url=f"{local.url}/",
        data=form,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    credentials = Credentials(keys.access_key_id, keys.secret_access_key)
    SigV4Auth(credentials, "monitoring", "us-east-1").add_auth(request)

    with urllib.request.urlopen(
        urllib.request.Request(f"{local.url}/", form.encode(), dict(request.headers))
    ) as answer:
        body = answer.read()

    assert b"<ListMetricsResult>" in body


def test_another_region_is_refused(local: Local) -> None:
    with pytest.raises(ClientError, match="This local SageMaker is in 'us-east-1'"):
        local.client("cloudwatch", region_name="eu-west-1").list_metrics()


# --- SNS ---------------------------------------------------------------------


@contextmanager
def subscriber() -> Iterator[tuple[str, queue.Queue[bytes]]]:
    """An HTTP server, and what is posted to it."""
    posted: queue.Queue[bytes] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.put(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", posted
        finally:
            server.shutdown()
            thread.join()


def test_a_message_reaches_a_subscriber(local: Local) -> None:
    sns = local.client("sns")
    topic = sns.create_topic(Name="posted")["TopicArn"]

    with subscriber() as (url, posted):
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
        sns.publish(TopicArn=topic, Message="the endpoint failed")
        notification = posted.get(timeout=10)

    assert b"the endpoint failed" in notification
    assert topic.encode() in notification


def test_a_subscriber_that_is_not_there_holds_up_nobody(local: Local) -> None:
    sns = local.client("sns")
    topic = sns.create_topic(Name="unheard")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://127.0.0.1:9/")

    assert sns.publish(TopicArn=topic, Message="hello")["MessageId"]


def test_services_that_are_not_here_cannot_subscribe(local: Local) -> None:
    sns = local.client("sns")
    topic = sns.create_topic(Name="unheard")["TopicArn"]

    with pytest.raises(ClientError, match="protocol `sqs` is not built"):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:0:q")


def test_an_address_is_of_the_protocol_that_it_is_given_for(local: Local) -> None:
    sns = local.client("sns")
    topic = sns.create_topic(Name="unheard")["TopicArn"]

    with pytest.raises(ClientError, match="Endpoint must match the specified protocol"):
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="file:///etc/hostname")


# --- Application Auto Scaling ------------------------------------------------


def test_a_dimension_that_is_not_sagemaker_s(local: Local) -> None:
    scaling = local.client("application-autoscaling")

    with pytest.raises(ClientError, match="failed to satisfy constraint"):
        scaling.register_scalable_target(
            **TARGET | {"ScalableDimension": "sagemaker:variant:Desired"}, MaxCapacity=1
        )


# --- Another life ------------------------------------------------------------


def remembered(local: Local) -> dict[str, Any]:
    """All that is to be the same in the next life."""
    cloud_watch, scaling = local.client("cloudwatch"), local.client("application-autoscaling")
    now = datetime.now(UTC)
    alarms = cloud_watch.describe_alarms()["MetricAlarms"]
    return {
        "alarms": [
            {name: each[name] for name in ("AlarmArn", "AlarmConfigurationUpdatedTimestamp")}
            for each in alarms
        ],
        "states": {each["AlarmName"]: each["StateValue"] for each in alarms},
        "metrics": cloud_watch.list_metrics()["Metrics"],
        "points": cloud_watch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Errors",
            Dimensions=VARIANT,
            StartTime=now - timedelta(hours=2),
            EndTime=now - timedelta(minutes=30),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"],
        "topics": local.client("sns").list_topics()["Topics"],
        "subscriptions": local.client("sns").list_subscriptions()["Subscriptions"],
        "targets": scaling.describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ],
        "policies": scaling.describe_scaling_policies(ServiceNamespace="sagemaker")[
            "ScalingPolicies"
        ],
    }


def test_all_of_it_is_there_after_a_kill(tmp_path: Path) -> None:
    local = start(tmp_path)
    cloud_watch, sns = local.client("cloudwatch"), local.client("sns")
    scaling = local.client("application-autoscaling")
    alarm(cloud_watch, "errors", Period=86400)
    alarm(cloud_watch, "unknown", MetricName="Nothing")
    put(cloud_watch, "Errors", 3.0, at=datetime.now(UTC) - timedelta(hours=1))
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="me@example.com")
    for dimension, metric in (
        ("DesiredInstanceCount", "SageMakerVariantInvocationsPerInstance"),
        ("DesiredProvisionedConcurrency", "SageMakerVariantProvisionedConcurrencyUtilization"),
    ):
        target = TARGET | {"ScalableDimension": f"sagemaker:variant:{dimension}"}
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=4)
        scaling.put_scaling_policy(
            **target,
            PolicyName="track",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 70.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            },
        )
    before = remembered(local)

    local.process.kill()
    end(local)
    local = start(tmp_path)
    try:
        assert remembered(local) == before
    finally:
        end(local)
    assert {len(each) for each in before.values()} == {1, 2}
    assert before["states"]["unknown"] == "INSUFFICIENT_DATA"
