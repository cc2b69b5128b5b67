"""What a project wants: names, the least that its roles allow, what each kind becomes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from portside.config import (
    Async,
    AsyncScalingSection,
    CaptureSection,
    Endpoint,
    EndpointKind,
    Realtime,
    RolloutSection,
    Serverless,
    VariantSection,
    VpcSection,
)
from portside.deploy.desired import name
from portside.deploy.desired.desired import desired, memory_size_mb
from portside.deploy.desired.resources import (
    Desired,
    EndpointConfig,
    GivenRole,
    Image,
    Model,
    Repository,
    Role,
    ScalingPolicy,
)
from portside.deploy.desired.resources import Endpoint as WantedEndpoint
from portside.deploy.desired.tag import recorded
from portside.errors import DeployError
from tests.unit.deploy.deploy_parts import DATA, IMAGE, WHERE, project, wanted

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
BUCKET = "portside-123456789012-eu-west-1"


def of(settings: EndpointKind, **more: Any) -> Desired:
    return wanted(Endpoint(name="ner", settings=settings), **more)


def the(wish: Desired, sort: type[Any]) -> Any:
    (found,) = (resource for resource in wish.resources if isinstance(resource, sort))
    return found


# --- Names ------------------------------------------------------------------------


def test_names_fit_their_services_and_do_not_depend_on_order() -> None:
    longest = "x" * 52
    first = wanted(Endpoint(name=longest, settings=Serverless(environment={"A": "1", "B": "2"})))
    again = wanted(Endpoint(name=longest, settings=Serverless(environment={"B": "2", "A": "1"})))

    assert first == again
    assert {len(the(first, sort).name) for sort in (Model, EndpointConfig)} == {63}
    assert len(the(first, Role).name) == 64


def test_roles_of_long_names_are_told_apart() -> None:
    names = {name.role_name(f"{'x' * 51}{last}", region="ap-southeast-2") for last in "ab"}

    assert len(names) == 2
    assert max(map(len, names)) == 64


def test_tags_and_a_time_to_live_change_no_name() -> None:
    plain, tagged = of(Serverless()), of(Serverless(tags={"team": "search"}, ttl="7d"))

    assert [found.name for found in plain.resources] == [found.name for found in tagged.resources]
    assert the(tagged, WantedEndpoint).tags == {
        "team": "search",
        "portside:project": "ner",
        "portside:tags": recorded({"team": ""})["portside:tags"],
        "portside:ttl": "7d",
    }
    assert "portside:ttl" not in the(tagged, EndpointConfig).tags


@pytest.mark.parametrize("project_name", ["NER", "a--b", "x" * 52])
def test_a_repository_is_named_as_ecr_wants(project_name: str) -> None:
    assert name.repository_name(project_name).removeprefix("portside/") in {"ner", "a-b", "x" * 52}


# --- What an image and an artifact become ------------------------------------------


def test_an_image_is_run_by_its_digest() -> None:
    wish = of(Serverless(), image=IMAGE)

    assert the(wish, Repository).name == "portside/ner"
    assert the(wish, Image).tag == "121212121212"
    assert the(wish, Model).image == (
        f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/portside/ner@{IMAGE.digest}"
    )


def test_a_model_in_the_image_needs_no_artifact() -> None:
    wish = desired(project(), None, where=WHERE, image=IMAGE)

    assert the(wish, Model).fields.keys() == {"Image", "ExecutionRoleArn"}
    assert "s3:GetObject" not in str(the(wish, Role).policy)


# --- Sizes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured_mb", "size_mb"),
    [(None, 2048), (100, 2048), (1638, 2048), (1700, 3072), (4915, 6144)],
)
def test_the_memory_is_what_was_measured_and_some_more(
    measured_mb: int | None, size_mb: int
) -> None:
    measured = None if measured_mb is None else measured_mb * 2**20

    assert memory_size_mb(Serverless(), measured) == size_mb
    assert memory_size_mb(Serverless(memory_size_mb=1024), measured) == 1024


def test_a_model_that_does_not_fit_says_what_to_do() -> None:
    with pytest.raises(DeployError, match="about 6,250 MB") as caught:
        of(Serverless(), data=dataclasses.replace(DATA, memory_bytes=5000 * 2**20))

    assert "realtime" in (caught.value.hint or "")


# --- Settings -----------------------------------------------------------------------


def test_variants_share_models_where_they_run_the_same() -> None:
    same = of(Realtime(variants=(VariantSection(name="a"), VariantSection(name="b", weight=0.5))))
    other = of(
        Realtime(
            environment={"A": "1"},
            variants=(
                VariantSection(name="a"),
                VariantSection(name="b", environment={"A": "2"}, instance_type="ml.c5.large"),
            ),
        )
    )

    assert len(same.models) == 1
    assert [model.environment for model in other.models.values()] == [{"A": "1"}, {"A": "2"}]
    assert [
        (variant["VariantName"], variant["InitialVariantWeight"], variant["InstanceType"])
        for variant in the(other, EndpointConfig).variants
    ] == [("a", 1.0, "ml.m5.large"), ("b", 1.0, "ml.c5.large")]


def test_an_asynchronous_endpoint_answers_into_the_bucket() -> None:
    config = the(of(Async()), EndpointConfig)

    assert config.settings["AsyncInferenceConfig"] == {
        "OutputConfig": {
            "S3OutputPath": f"s3://{BUCKET}/ner/outputs/ner",
            "S3FailurePath": f"s3://{BUCKET}/ner/failures/ner",
        }
    }


def test_an_asynchronous_endpoint_without_an_instance_can_wake() -> None:
    wish = of(Async(scaling=AsyncScalingSection(max_instances=2)))

    backlog, wake = (found for found in wish.resources if isinstance(found, ScalingPolicy))

    metric = backlog.configuration["CustomizedMetricSpecification"]["MetricName"]
    assert metric == "ApproximateBacklogSizePerInstance"
    assert wake.configuration["StepAdjustments"] == [
        {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
    ]
    assert wake.alarm is not None
    assert wake.alarm["MetricName"] == "HasBacklogWithoutCapacity"


def test_one_that_keeps_an_instance_needs_no_waking() -> None:
    wish = of(Async(scaling=AsyncScalingSection(min_instances=1)))

    assert the(wish, ScalingPolicy).alarm is None


def test_a_rollout_is_a_deployment_config() -> None:
    rollout = RolloutSection(kind="canary", step_percent=10, wait_s=60, alarms=("too-slow",))

    assert the(of(Realtime(rollout=rollout)), WantedEndpoint).deployment == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 60,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
            },
            "TerminationWaitInSeconds": 0,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "too-slow"}]},
    }


# --- Roles ---------------------------------------------------------------------------

READ = ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/ner/artifacts/*")
ALWAYS = [
    (
        "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
        "arn:aws:ecr:eu-west-1:123456789012:repository/portside-runtime",
    ),
    (
        "logs:CreateLogGroup logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents",
        (
            "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/Endpoints/ner "
            "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/Endpoints/ner:*"
        ),
    ),
    ("cloudwatch:PutMetricData ecr:GetAuthorizationToken", "*"),
]
KEYED = ("kms:CreateGrant kms:Decrypt kms:DescribeKey kms:GenerateDataKey", KEY)


def allowed(wish: Desired) -> list[tuple[str, str]]:
    statements = the(wish, Role).policy["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    return [(_words(one["Action"]), _words(one["Resource"])) for one in statements]


def _words(value: str | list[str]) -> str:
    return value if isinstance(value, str) else " ".join(value)


@pytest.mark.parametrize(
    ("settings", "first", "more"),
    [
        (Serverless(), READ, []),
        (Realtime(), READ, []),
        (
            Realtime(capture=CaptureSection(destination="s3://mine/kept/"), kms_key=KEY),
            READ,
            [("s3:PutObject", "arn:aws:s3:::mine/kept/*"), KEYED],
        ),
        (
            Realtime(rollout=RolloutSection(alarms=("too-slow",))),
            READ,
            [("cloudwatch:DescribeAlarms", "*")],
        ),
        (
            Async(input="s3://mine/in", success_topic="arn:aws:sns:eu-west-1:1:t"),
            ("s3:GetObject", f"{READ[1]} arn:aws:s3:::mine/in/*"),
            [
                ("s3:ListBucket", "arn:aws:s3:::mine"),
                (
                    "s3:AbortMultipartUpload s3:PutObject",
                    (
                        f"arn:aws:s3:::{BUCKET}/ner/outputs/ner/* "
                        f"arn:aws:s3:::{BUCKET}/ner/failures/ner/*"
                    ),
                ),
                ("sns:Publish", "arn:aws:sns:eu-west-1:1:t"),
            ],
        ),
    ],
)
def test_a_role_allows_what_is_switched_on_and_nothing_else(
    settings: EndpointKind, first: tuple[str, str], more: list[tuple[str, str]]
) -> None:
    found = allowed(of(settings))

    assert found[0] == first
    assert sorted(found[1:]) == sorted(ALWAYS + more)


def test_a_vpc_needs_network_interfaces() -> None:
    vpc = VpcSection(subnets=("subnet-1",), security_groups=("sg-1",))
    wish = of(Realtime(vpc=vpc))

    ((actions, resource),) = set(allowed(wish)) - set(allowed(of(Realtime())))

    assert resource == "*"
    assert {action.split(":")[0] for action in actions.split()} == {"ec2"}
    assert the(wish, Model).vpc == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}


def test_only_sagemaker_may_assume_a_role_and_for_this_account_and_region_alone() -> None:
    role = the(wanted(), Role)

    assert role.arn == "arn:aws:iam::123456789012:role/portside/portside-eu-west-1-ner"
    assert role.trust["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:eu-west-1:123456789012:*"}
            },
        }
    ]


def test_a_role_of_the_users_takes_the_place_of_ours() -> None:
    arn = "arn:aws:iam::123456789012:role/teams/mine"
    wish = of(Serverless(role=arn))

    assert the(wish, GivenRole).name == "mine"
    assert the(wish, Model).role_arn == arn
    assert the(wish, GivenRole).policy == the(wanted(), Role).policy
