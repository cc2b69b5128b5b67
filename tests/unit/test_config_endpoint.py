"""The tables of endpoints: every key of every kind, right and wrong."""

from __future__ import annotations

from pathlib import Path

import botocore.session
import pytest

from portside import config
from portside.config.endpoint_instance import check_instance_type
from portside.errors import ConfigError


def settings(folder: Path, text: str) -> config.EndpointKind:
    (folder / "portside.toml").write_text(text)
    (endpoint,) = config.load(folder).endpoints
    return endpoint.settings


def test_a_serverless_endpoint_has_these_keys(tmp_path: Path) -> None:
    text = """
    [endpoint]
    memory_size_mb = 3072
    max_concurrency = 20
    provisioned_concurrency = 2
    tags = { team = "search" }
    role = "arn:aws:iam::123456789012:role/service-role/mine"
    ttl = "8h"
    budget = 12.5
    [endpoint.scaling]
    max_concurrency = 10
    """

    assert settings(tmp_path, text) == config.Serverless(
        memory_size_mb=3072,
        max_concurrency=20,
        provisioned_concurrency=2,
        tags={"team": "search"},
        role="arn:aws:iam::123456789012:role/service-role/mine",
        ttl="8h",
        budget=12.5,
        scaling=config.ProvisionedScalingSection(max_concurrency=10),
    )


def test_a_real_time_endpoint_has_these_keys(tmp_path: Path) -> None:
    text = """
    [endpoint]
    kind = "realtime"
    instance_type = "ml.c5.large"
    instance_count = 2
    kms_key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    [[endpoint.variants]]
    name = "now"
    weight = 0.9
    [[endpoint.variants]]
    name = "next"
    weight = 0.1
    instance_type = "ml.g5.xlarge"
    instance_count = 1
    environment = { A = "1" }
    [endpoint.scaling]
    max_instances = 4
    metric = "concurrent_requests_per_model"
    target = 5
    [endpoint.vpc]
    subnets = ["subnet-1"]
    security_groups = ["sg-1", "sg-2"]
    [endpoint.capture]
    sampling_percentage = 20
    destination = "s3://mine/captured"
    [endpoint.rollout]
    kind = "linear"
    step_percent = 25
    wait_s = 60
    alarms = ["too-slow"]
    """

    assert settings(tmp_path, text) == config.Realtime(
        instance_type="ml.c5.large",
        instance_count=2,
        kms_key="arn:aws:kms:eu-west-1:123456789012:key/1",
        variants=(
            config.VariantSection(name="now", weight=0.9),
            config.VariantSection(
                name="next",
                weight=0.1,
                instance_type="ml.g5.xlarge",
                instance_count=1,
                environment={"A": "1"},
            ),
        ),
        scaling=config.ScalingSection(
            max_instances=4, metric="concurrent_requests_per_model", target=5.0
        ),
        vpc=config.VpcSection(subnets=("subnet-1",), security_groups=("sg-1", "sg-2")),
        capture=config.CaptureSection(sampling_percentage=20, destination="s3://mine/captured"),
        rollout=config.RolloutSection(
            kind="linear", step_percent=25, wait_s=60, alarms=("too-slow",)
        ),
    )


def test_an_asynchronous_endpoint_has_these_keys(tmp_path: Path) -> None:
    text = """
    [endpoint]
    kind = "async"
    input = "s3://mine/in"
    output = "s3://mine/out"
    failure = "s3://mine/failed"
    success_topic = "arn:aws:sns:eu-west-1:123456789012:done"
    error_topic = "arn:aws:sns:eu-west-1:123456789012:failed"
    max_concurrent_invocations = 4
    [endpoint.scaling]
    max_instances = 3
    """

    assert settings(tmp_path, text) == config.Async(
        input="s3://mine/in",
        output="s3://mine/out",
        failure="s3://mine/failed",
        success_topic="arn:aws:sns:eu-west-1:123456789012:done",
        error_topic="arn:aws:sns:eu-west-1:123456789012:failed",
        max_concurrent_invocations=4,
        scaling=config.AsyncScalingSection(max_instances=3),
    )


@pytest.mark.parametrize(("text", "hours"), [("8h", 8), ("7d", 168), ("2w", 336)])
def test_a_time_to_live_in_hours(text: str, hours: int) -> None:
    assert config.ttl_hours(text) == hours


@pytest.mark.parametrize("kind", ["serverless", "realtime", "async"])
@pytest.mark.parametrize(
    ("line", "key", "message", "hint"),
    [
        ("role = 'mine'", "role", "not the ARN", "arn:aws:iam::123456789012:role/NAME"),
        ("ttl = '8 hours'", "ttl", "not a time to live", "`8h`"),
        ("ttl = '0h'", "ttl", "not a time to live", "`8h`"),
        ("budget = 0", "budget", "a number of more than 0", "change"),
        ("budget = '5 USD'", "budget", "expected a number", "change"),
        ("tags = {'portside:ttl' = '1h'}", "tags", "kept for others", "does not begin"),
        ("tags = {'aws:x' = '1'}", "tags", "kept for others", "does not begin"),
        ("tags = {'a%' = '1'}", "tags", "cannot be a tag", "letters"),
        (f"tags = {{a = '{'x' * 257}'}}", "tags", "cannot be a tag", "256"),
        ("tags = {a = 1}", "tags", "a text", "quotes"),
    ],
)
def test_what_every_kind_refuses(
    tmp_path: Path, kind: str, line: str, key: str, message: str, hint: str
) -> None:
    assert_refused(tmp_path, kind, line, key=key, message=message, hint=hint)


@pytest.mark.parametrize(
    ("kind", "line", "key", "message", "hint"),
    [
        ("serverless", "provisioned_concurrency = 6", "provisioned_concurrency", "6", "1 to 5"),
        ("serverless", "scaling = {max_concurrency = 2}", "scaling", "to scale", "provisioned"),
        (
            "serverless",
            "provisioned_concurrency = 1\nscaling = {max_concurrency = 9}",
            "scaling.max_concurrency",
            "9 is out of range",
            "from 1 to 5",
        ),
        (
            "serverless",
            "provisioned_concurrency = 4\nscaling = {max_concurrency = 3}",
            "provisioned_concurrency",
            "4 is not within",
            "from 1 to 3",
        ),
        (
            "serverless",
            "provisioned_concurrency = 1\nscaling = {}",
            "scaling.max_concurrency",
            "it is missing",
            "set `endpoint.scaling.max_concurrency`",
        ),
        ("serverless", "vpc = {subnets = ['subnet-1']}", "vpc", "no such key", "use one of"),
        ("realtime", "instance_count = 0", "instance_count", "of at least 1", "change"),
        ("realtime", "memory_size_mb = 1024", "memory_size_mb", "no such key", "use one of"),
        ("realtime", "instance_typ = 'x'", "instance_typ", "no such key", "`instance_type`"),
        ("realtime", "kms_key = 'alias/x'", "kms_key", "not the ARN", "arn:aws:kms:us-east-1:"),
        ("realtime", "variants = 3", "variants", "expected a list", "between `[`"),
        ("realtime", "variants = [{}]", "variants[0].name", "it is missing", "set `endpoint.v"),
        ("realtime", "variants = [{name='a b'}]", "variants[0].name", "cannot be", "letters"),
        (
            "realtime",
            "variants = [{name='a'}, {name='a'}]",
            "variants[0].name",
            "cannot be the name",
            "each name once",
        ),
        (
            "realtime",
            "variants = [{name='a', instance_type='m5'}]",
            "variants[0].instance_type",
            "not the name",
            "ml.m5.large",
        ),
        (
            "realtime",
            "variants = [{name='a', weigth=1}]",
            "variants[0].weigth",
            "no such key",
            "write `weight`",
        ),
        ("realtime", "variants = [{name='a', weight=0}]", "variants", "no variant", "above 0"),
        (
            "realtime",
            "variants = [{name='a', environment={'a b'='1'}}]",
            "variants[0].environment",
            "`a b`",
            "letters",
        ),
        ("realtime", "scaling = {target = 1}", "scaling.max_instances", "it is missing", "set `"),
        (
            "realtime",
            "scaling = {min_instances = 3, max_instances = 2, target = 1}",
            "scaling.min_instances",
            "3 is more than",
            "up to 2",
        ),
        (
            "realtime",
            "instance_count = 5\nscaling = {max_instances = 2, target = 1}",
            "instance_count",
            "5 is not within",
            "from 1 to 2",
        ),
        (
            "realtime",
            "scaling = {max_instances = 2, target = 1, metric = 'cpu'}",
            "scaling.metric",
            "`cpu` is none",
            "invocations_per_instance, concurrent",
        ),
        ("realtime", "vpc = {subnets = ['subnet-1']}", "vpc.security_groups", "missing", "set"),
        (
            "realtime",
            "vpc = {subnets = ['mine'], security_groups = ['sg-1']}",
            "vpc.subnets",
            "`mine` is not the ID",
            "subnet-0",
        ),
        ("realtime", "capture = {sampling_percentage = 0}", "capture.sampling_percentage", "1", ""),
        ("realtime", "capture = {destination = 'x'}", "capture.destination", "on S3", "s3://"),
        ("realtime", "rollout = {kind = 'blue'}", "rollout.kind", "`blue` is none", "canary"),
        ("realtime", "rollout = {kind = 'canary'}", "rollout.step_percent", "needs a size", "10"),
        ("realtime", "rollout = {step_percent = 5}", "rollout.step_percent", "no steps", "linear"),
        (
            "realtime",
            "rollout = {kind = 'linear', step_percent = 5}",
            "rollout.step_percent",
            "5 is out of range",
            "from 10 to 50",
        ),
        ("realtime", "rollout = {wait_s = 3601}", "rollout.wait_s", "of at most 3600", "change"),
        ("async", "output = 'here'", "output", "not a place on S3", "Portside's own bucket"),
        ("async", "failure = 's3:/x'", "failure", "not a place on S3", "s3://BUCKET/PREFIX"),
        ("async", "input = 'x'", "input", "not a place on S3", "s3://BUCKET/PREFIX"),
        ("async", "success_topic = 'done'", "success_topic", "not the ARN", "arn:aws:sns:"),
        ("async", "error_topic = 'x'", "error_topic", "not the ARN", "123456789012:NAME"),
        (
            "async",
            "max_concurrent_invocations = 1001",
            "max_concurrent_invocations",
            "of at most 1000",
            "change",
        ),
        ("async", "capture = {}", "capture", "no such key", "use one of"),
        (
            "async",
            "instance_count = 2\nscaling = {max_instances = 1}",
            "instance_count",
            "2 is not within",
            "from 1 to 1",
        ),
    ],
)
def test_what_one_kind_refuses(
    tmp_path: Path, kind: str, line: str, key: str, message: str, hint: str
) -> None:
    assert_refused(tmp_path, kind, line, key=key, message=message, hint=hint)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ml.m5.larg", "`ml.m5.large`"),
        ("ml.m5.3xlarge", "`ml.m5.xlarge` or `ml.m5."),
        ("ml.mm5.large", "`ml.m5.large`"),
        ("ml.g5n.xlarg", "`ml.g5.xlarge`"),
        ("ml.z9.huge", "one such as"),
    ],
)
def test_an_instance_type_that_nobody_has_is_refused_with_the_nearest_name(
    tmp_path: Path, name: str, near: str
) -> None:
    with pytest.raises(ConfigError, match=f"there is no instance type `{name}`") as caught:
        settings(tmp_path, f'[endpoint]\nkind = "realtime"\ninstance_type = "{name}"')

    assert caught.value.path == "endpoint.instance_type"
    assert near in (caught.value.hint or "")
    assert "allow_unknown_instance_type = true" in (caught.value.hint or "")


def test_an_instance_type_can_be_insisted_on(tmp_path: Path) -> None:
    text = """
    [endpoint]
    kind = "realtime"
    instance_type = "ml.z9.huge"
    allow_unknown_instance_type = true
    [[endpoint.variants]]
    name = "a"
    instance_type = "ml.z9.metal"
    """

    assert settings(tmp_path, text).instance_type == "ml.z9.huge"  # type: ignore[union-attr]  # it is real-time


@pytest.mark.parametrize("name", ["ml.m7g.large", "ml.g8.48xlarge", "ml.p7-b400.48xlarge"])
def test_a_new_generation_is_taken(tmp_path: Path, name: str) -> None:
    settings(tmp_path, f'[endpoint]\nkind = "async"\ninstance_type = "{name}"')


def test_every_instance_type_of_sagemaker_is_taken() -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    types: list[str] = model.shape_for("ProductionVariantInstanceType").enum

    assert types
    for name in types:
        check_instance_type(name, "instance_type")


def test_of_several_endpoints_the_wrong_one_is_named(tmp_path: Path) -> None:
    text = '[endpoints.good]\n[endpoints.bad]\nkind = "realtime"\nbudget = "5"'

    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)

    assert caught.value.path == "endpoints.bad.budget"


def assert_refused(
    folder: Path, kind: str, line: str, *, key: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(folder, f'[endpoint]\nkind = "{kind}"\n{line}')

    assert caught.value.path == f"endpoint.{key}"
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
