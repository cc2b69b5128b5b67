"""What is asked of AWS, against botocore's own model of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from portside.aws.logs import LogLine
from portside.aws.metrics import Metric, Point
from portside.aws.session import Address, Session
from portside.console.account import Account, LogPart, LogQuery
from portside.console.trial import Answer, Format, Trial
from portside.errors import RemoteError
from tests.unit.console.console_fakes import NOW, make_described, make_refusal

ADDRESS = Address(
    endpoint_url="http://127.0.0.1:9",  # nobody listens there
    region="us-east-1",
    access_key_id="key",
    secret_access_key="secret",
)
GROUP = "/aws/sagemaker/Endpoints/ner"
TIME_MS = 1_773_500_966_000
TIME = datetime.fromtimestamp(TIME_MS / 1000, UTC)
TRIAL = Trial.of_text("Ada", Format.STRINGS)


class Stubs:
    """An account whose clients answer what they were told to, once each and in order."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        self.account = Account(session, name="local AWS")
        self.sagemaker, self.runtime, self.logs, self.metrics = (
            stack.enter_context(Stubber(client))
            for client in (
                session.sagemaker,
                session.runtime,
                session.logs,
                session.cloudwatch,
            )
        )


class Nameable(Session):
    """A session that knows its account, or is refused it."""

    is_nameless = False

    @property
    def account(self) -> str:
        if self.is_nameless:
            raise make_refusal()
        return "000000000000"


@pytest.fixture(scope="module")
def session() -> Nameable:
    return Nameable(ADDRESS)


@pytest.fixture
def stubs(session: Session) -> Iterator[Stubs]:
    with ExitStack() as stack:
        made = Stubs(session, stack)
        yield made
        for stub in (made.sagemaker, made.runtime, made.logs, made.metrics):
            stub.assert_no_pending_responses()


def event(message: str, *, second: int, **more: Any) -> dict[str, Any]:
    return {"timestamp": TIME_MS + 1000 * second, "message": message, **more}


def line(message: str, *, second: int, stream: str) -> LogLine:
    return LogLine(time=TIME + timedelta(seconds=second), stream=stream, message=message)


def add_streams(stubs: Stubs, *names: str) -> None:
    stubs.logs.add_response(
        "describe_log_streams",
        {"logStreams": [{"logStreamName": name} for name in names]},
        {"logGroupName": GROUP, "orderBy": "LastEventTime", "descending": True, "limit": 10},
    )


def test_an_endpoint_and_its_config(stubs: Stubs) -> None:
    described = make_described()
    described.endpoint["EndpointArn"] = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/ner"
    config = {
        "EndpointConfigName": "ner-1",
        "EndpointConfigArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/ner-1",
        "CreationTime": NOW,
        "ProductionVariants": [{"VariantName": "AllTraffic"}],
    }
    stubs.sagemaker.add_response("describe_endpoint", described.endpoint, {"EndpointName": "ner"})
    stubs.sagemaker.add_response(
        "describe_endpoint_config", config, {"EndpointConfigName": "ner-1"}
    )
    found = stubs.account.endpoint("ner")

    assert found is not None
    assert found.endpoint["EndpointStatus"] == "InService"
    assert found.config == config


def test_no_such_endpoint(stubs: Stubs) -> None:
    stubs.sagemaker.add_client_error(
        "describe_endpoint", "ValidationException", 'Could not find endpoint "ner".'
    )

    assert stubs.account.endpoint("ner") is None


def test_other_refusals_are_errors(stubs: Stubs) -> None:
    stubs.sagemaker.add_client_error("describe_endpoint", "AccessDeniedException", "no")

    with pytest.raises(RemoteError, match="was refused: no"):
        stubs.account.endpoint("ner")


def test_a_page_leaves_out_what_was_deleted_meanwhile(stubs: Stubs) -> None:
    summary = {
        "EndpointName": "ner",
        "EndpointArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint/ner",
        "CreationTime": NOW,
        "LastModifiedTime": NOW,
        "EndpointStatus": "InService",
    }
    stubs.sagemaker.add_response(
        "list_endpoints",
        {"Endpoints": [summary], "NextToken": "2"},
        {"MaxResults": 25, "NameContains": "n", "NextToken": "1"},
    )
    stubs.sagemaker.add_client_error(
        "describe_endpoint", "ValidationException", 'Could not find endpoint "ner".'
    )
    page = stubs.account.endpoints(contains="n", after="1")

    assert (page.endpoints, page.following) == ([], "2")


def test_the_newest_lines_of_all_streams(stubs: Stubs) -> None:
    add_streams(stubs, "v/2", "v/1")
    for stream, events in (
        ("v/2", [event("b", second=2), event("d", second=4)]),
        ("v/1", [event("a", second=1), event("c", second=3)]),
    ):
        stubs.logs.add_response(
            "get_log_events",
            {"events": events, "nextBackwardToken": "x", "nextForwardToken": "y"},
            {"logGroupName": GROUP, "logStreamName": stream, "limit": 3},
        )

    assert stubs.account.log("ner", query=LogQuery(count=3)) == LogPart(
        streams=["v/2", "v/1"],
        lines=[
            line("b", second=2, stream="v/2"),
            line("c", second=3, stream="v/1"),
            line("d", second=4, stream="v/2"),
        ],
    )


def test_an_empty_page_is_not_the_end_of_a_stream(stubs: Stubs) -> None:
    add_streams(stubs, "v/1")
    asked = {"logGroupName": GROUP, "logStreamName": "v/1", "limit": 3}
    for events, token, more in (
        ([], "first", {}),
        ([], "second", {"nextToken": "first"}),
        ([event("a", second=1)], "third", {"nextToken": "second"}),
    ):
        stubs.logs.add_response(
            "get_log_events", {"events": events, "nextBackwardToken": token}, asked | more
        )

    assert stubs.account.log("ner", query=LogQuery(count=3)).lines == [
        line("a", second=1, stream="v/1")
    ]


def test_the_same_token_again_is_the_end(stubs: Stubs) -> None:
    add_streams(stubs, "v/1")
    for _ in range(2):
        stubs.logs.add_response("get_log_events", {"events": [], "nextBackwardToken": "end"})

    assert stubs.account.log("ner", query=LogQuery(count=3)).lines == []


def test_a_pattern_is_looked_for_in_one_stream(stubs: Stubs) -> None:
    add_streams(stubs, "v/2", "v/1")
    found = [event(name, second=1, logStreamName="v/1", eventId=name) for name in "abc"]
    stubs.logs.add_response(
        "filter_log_events",
        {"events": found},
        {
            "logGroupName": GROUP,
            "startTime": 7,
            "logStreamNames": ["v/1"],
            "filterPattern": '"x"',
        },
    )
    query = LogQuery(count=2, stream="v/1", pattern='"x"', since_ms=7)

    assert [each.message for each in stubs.account.log("ner", query=query).lines] == ["b", "c"]


def test_an_endpoint_that_has_not_printed_anything(stubs: Stubs) -> None:
    stubs.logs.add_client_error("describe_log_streams", "ResourceNotFoundException")

    assert stubs.account.log("ner", query=LogQuery(count=3)) == LogPart(streams=[], lines=[])


def test_metrics_are_asked_for_by_variant(stubs: Stubs) -> None:
    metric = Metric(endpoint="ner", variant="v", name="ModelLatency", statistic="p99")
    stubs.metrics.add_response(
        "get_metric_data",
        {
            "MetricDataResults": [
                {"Id": "m0", "Timestamps": [NOW, TIME], "Values": [12.5, 13.0], "Label": "x"}
            ]
        },
        {
            "MetricDataQueries": [
                {
                    "Id": "m0",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/SageMaker",
                            "MetricName": "ModelLatency",
                            "Dimensions": [
                                {"Name": "EndpointName", "Value": "ner"},
                                {"Name": "VariantName", "Value": "v"},
                            ],
                        },
                        "Period": 60,
                        "Stat": "p99",
                    },
                }
            ],
            "StartTime": NOW,
            "EndTime": TIME,
            "ScanBy": "TimestampAscending",
        },
    )

    assert stubs.account.measured([metric], start=NOW, end=TIME) == {
        metric: [Point(time=NOW, value=12.5), Point(time=TIME, value=13.0)]
    }


def test_many_metrics_take_several_calls(stubs: Stubs) -> None:
    asked = [
        Metric(endpoint=f"e{number}", variant="v", name="Invocations", statistic="Sum")
        for number in range(501)
    ]
    for key, value in (("m499", 1.0), ("m0", 2.0)):
        stubs.metrics.add_response(
            "get_metric_data",
            {"MetricDataResults": [{"Id": key, "Timestamps": [NOW], "Values": [value]}]},
        )
    found = stubs.account.measured(asked, start=NOW, end=TIME)

    assert [found[asked[number]] for number in (0, 499, 500)] == [
        [],
        [Point(time=NOW, value=1.0)],
        [Point(time=NOW, value=2.0)],
    ]


def test_an_answer(stubs: Stubs) -> None:
    stubs.runtime.add_response(
        "invoke_endpoint",
        {
            "Body": StreamingBody(io.BytesIO(b"[]"), 2),  # type: ignore[arg-type]  # a stream is what botocore gives
            "ContentType": "application/json",
            "InvokedProductionVariant": "v",
            "CustomAttributes": "trace=7",
        },
        {"EndpointName": "ner", "Body": TRIAL.body, "ContentType": "application/json"},
    )
    answer = stubs.account.ask("ner", TRIAL)

    assert answer == Answer(
        status=200,
        body=b"[]",
        took_ms=answer.took_ms,
        content_type="application/json",
        variant="v",
        custom_attributes="trace=7",
    )


def test_accept_and_variant_are_sent_where_they_are_given(stubs: Stubs) -> None:
    trial = Trial(body=b"1", content_type="text/csv", accept="text/csv", variant="v")
    stubs.runtime.add_response(
        "invoke_endpoint",
        {"Body": StreamingBody(io.BytesIO(b""), 0)},  # type: ignore[arg-type]  # see above
        {
            "EndpointName": "ner",
            "Body": b"1",
            "ContentType": "text/csv",
            "Accept": "text/csv",
            "TargetVariant": "v",
        },
    )

    assert stubs.account.ask("ner", trial).status == 200


def test_what_the_model_refuses_is_an_answer(stubs: Stubs) -> None:
    stubs.runtime.add_client_error(
        "invoke_endpoint",
        "ModelError",
        "Received client error (400) from primary",
        http_status_code=424,
        modeled_fields={"OriginalStatusCode": 400, "OriginalMessage": "expected a list"},
    )
    answer = stubs.account.ask("ner", TRIAL)

    assert (answer.status, answer.body) == (400, b"expected a list")


def test_what_sagemaker_refuses_is_an_error(stubs: Stubs) -> None:
    stubs.runtime.add_client_error("invoke_endpoint", "ThrottlingException", "Rate exceeded")

    with pytest.raises(RemoteError, match="Rate exceeded"):
        stubs.account.ask("ner", TRIAL)


def test_the_account_is_named_where_sts_tells_it(session: Nameable) -> None:
    assert Account(session, name="AWS").place == "AWS · account 000000000000 · us-east-1"
    session.is_nameless = True
    assert Account(session, name="local AWS").place == "local AWS · us-east-1"
