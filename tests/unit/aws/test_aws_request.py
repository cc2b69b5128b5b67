"""Every request of `portside.aws` is one that AWS's own models of its services allow.

With values as they come in practice; `tests/unit/deploy/test_request.py` has the resources in all
their variety. The answers are empty, so what a function makes of them does not count here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portside.aws import (
    autoscaling,
    ecr,
    iam,
    logs,
    metrics,
    quota,
    repository,
    runtime,
    s3,
    sagemaker,
)
from portside.aws.conditional import ConditionalObject
from portside.aws.permission import PERMISSIONS
from portside.aws.session import Address, Session
from portside.errors import RemoteError
from tests.unit.aws.test_aws_permission import UPLOAD, operations
from tests.unit.deploy.test_request import Network, assert_valid

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/ner"
GROUP, STREAM = "/aws/sagemaker/Endpoints/ner", "AllTraffic/i-0123456789abcdef0"
TAGS = {"portside:project": "ner", "portside:digest": "ab" * 32}
POLICY = {"Version": "2012-10-17", "Statement": [{"Action": ["s3:GetObject"], "Resource": "*"}]}
DIGEST = f"sha256:{'ab' * 32}"
BUCKET = "portside-123456789012-eu-west-1"
UPLOAD_ID = "11111111-2222-3333-4444-555555555555"
VARIANT = "endpoint/ner/variant/AllTraffic"
COUNT = "sagemaker:variant:DesiredInstanceCount"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPOSITORY = ecr.Repository(account="123456789012", name="portside/ner")
METRIC = metrics.Metric(endpoint="ner", variant="AllTraffic", name="Invocations", statistic="Sum")
REQUEST = runtime.Request(body=b"[1]", content_type="application/json", session_id="ada-1")

Call = Callable[[Session], Any]
CALLS: list[Call] = [
    lambda it: s3.describe_bucket(it, BUCKET),
    lambda it: s3.create_bucket(it, BUCKET),
    lambda it: s3.secure_bucket(it, BUCKET),
    lambda it: s3.object_exists(it, BUCKET, "ner/artifacts/1/model.tar.gz"),
    lambda it: s3.list_keys(it, BUCKET, prefix="ner/"),
    lambda it: s3.list_folders(it, BUCKET),
    lambda it: s3.delete_prefix(it, BUCKET, prefix="ner/journal/1/"),
    lambda it: s3.list_kept_keys(it, BUCKET, prefix="ner/artifacts/"),
    lambda it: s3.remove_bucket(it, BUCKET),
    lambda it: ConditionalObject(it, BUCKET, "ner/lock").read(),
    lambda it: ConditionalObject(it, BUCKET, "ner/lock").create(b"1"),
    lambda it: ConditionalObject(it, BUCKET, "ner/lock").replace(b"1", etag='"1"'),
    lambda it: ConditionalObject(it, BUCKET, "ner/lock").delete(etag='"1"'),
    lambda it: ecr.create_repository(it, REPOSITORY, tags=TAGS),
    lambda it: ecr.available_layers(it, REPOSITORY, [DIGEST]),
    lambda it: ecr.begin_upload(it, REPOSITORY),
    lambda it: ecr.upload_part(it, REPOSITORY, UPLOAD_ID, first_byte=0, data=b"123"),
    lambda it: ecr.complete_upload(it, REPOSITORY, UPLOAD_ID, digest=DIGEST),
    lambda it: ecr.put_image(
        it, REPOSITORY, manifest=b"{}", media_type="a/b", digest=DIGEST, tag="ab"
    ),
    lambda it: ecr.describe_image(it, REPOSITORY, DIGEST),
    lambda it: repository.repository_tags(it, REPOSITORY),
    lambda it: repository.delete_repository(it, REPOSITORY),
    lambda it: repository.set_tags(it, REPOSITORY, tags=TAGS, removed=["team"]),
    lambda it: iam.get_role(it, "portside-eu-west-1-ner", policy_name="portside"),
    lambda it: iam.list_roles(it, path="/portside/"),
    lambda it: iam.denied_actions(it, "arn:aws:iam::123456789012:role/mine", policy=POLICY),
    lambda it: iam.create_role(it, "ner", path="/portside/", trust=POLICY, tags=TAGS),
    lambda it: iam.update_trust(it, "ner", trust=POLICY),
    lambda it: iam.put_policy(it, "ner", policy_name="portside", policy=POLICY),
    lambda it: iam.set_tags(it, "ner", tags=TAGS, removed=["team"]),
    lambda it: iam.delete_role(it, "ner", policy_name="portside"),
    lambda it: sagemaker.describe_model(it, "ner-0123456789"),
    lambda it: sagemaker.describe_endpoint_config(it, "ner-0123456789"),
    lambda it: sagemaker.describe_endpoint(it, "ner"),
    lambda it: sagemaker.list_tags(it, ARN),
    lambda it: sagemaker.set_tags(it, ARN, tags=TAGS, removed=["team"]),
    lambda it: sagemaker.delete_endpoint(it, "ner"),
    lambda it: sagemaker.delete_endpoint_config(it, "ner-0123456789"),
    lambda it: sagemaker.delete_model(it, "ner-0123456789"),
    lambda it: sagemaker.list_models(it, contains="ner"),
    lambda it: sagemaker.list_endpoint_configs(it, contains="ner"),
    sagemaker.list_endpoints,
    lambda it: sagemaker.create_endpoint(it, "ner", config_name="ner-0123456789", tags=TAGS),
    lambda it: sagemaker.update_endpoint(
        it, "ner", config_name="ner-0123456789", deployment=None, retain_capacity=True
    ),
    lambda it: sagemaker.create_endpoint_config(
        it,
        "ner-0123456789",
        variants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": "ner-0123456789",
                "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
            }
        ],
        settings={},
        tags=TAGS,
    ),
    lambda it: sagemaker.create_model(
        it,
        "ner-0123456789",
        image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/portside/ner:1",
        model_data=f"s3://{BUCKET}/model.tar.gz",
        environment={"LOG_LEVEL": "info"},
        role_arn="arn:aws:iam::123456789012:role/portside/ner",
        tags=TAGS,
    ),
    lambda it: runtime.invoke_endpoint(it, "ner", request=REQUEST),
    lambda it: runtime.invoke_endpoint_stream(it, "ner", request=REQUEST),
    lambda it: runtime.invoke_endpoint_async(
        it, "ner", location="s3://b/k", content_type="text/plain", accept=None
    ),
    lambda it: autoscaling.list_targets(it, resource_ids=[VARIANT]),
    lambda it: autoscaling.list_policies(it, resource_id=VARIANT),
    lambda it: autoscaling.register_target(
        it, autoscaling.Target(resource_id=VARIANT, dimension=COUNT, least=1, most=2)
    ),
    lambda it: autoscaling.deregister_target(it, resource_id=VARIANT, dimension=COUNT),
    lambda it: autoscaling.put_policy(
        it,
        autoscaling.Policy(
            name="p", resource_id=VARIANT, dimension=COUNT, configuration={"TargetValue": 1.0}
        ),
        policy_type="TargetTrackingScaling",
    ),
    lambda it: autoscaling.delete_policy(it, name="p", resource_id=VARIANT, dimension=COUNT),
    lambda it: autoscaling.alarm_exists(it, "portside-ner-wake"),
    lambda it: autoscaling.put_alarm(
        it,
        {
            "AlarmName": "portside-ner-wake",
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        },
        action="arn:aws:autoscaling:eu-west-1:123456789012:policy:1",
    ),
    lambda it: autoscaling.delete_alarm(it, "portside-ner-wake"),
    lambda it: metrics.read(it, [METRIC], start=NOW - timedelta(days=60), end=NOW, period_s=3600),
    lambda it: logs.list_streams(it, GROUP, count=3),
    lambda it: list(logs.read(it, GROUP, since_ms=1, pattern="error", stream=STREAM)),
    lambda it: logs.tail(it, GROUP, streams=[STREAM], count=10),
    lambda it: quota.endpoint_quota(it, "ml.m5.large"),
]


@pytest.fixture(scope="module")
def session() -> Session:
    session = Session(Address(region="eu-west-1", access_key_id="AK", secret_access_key="SK"))
    vars(session)["account"] = "123456789012"  # as if it had been asked for
    return session


@pytest.fixture(scope="module")
def network(session: Session) -> Network:
    network = Network()
    for name in ("s3", "ecr", "iam", "sagemaker", "runtime", "logs", "autoscaling"):
        network.attach(getattr(session, name))
    network.attach(session.cloudwatch)
    network.attach(session.service_quotas)
    return network


def test_every_request_is_allowed_and_none_is_left_out(session: Session, network: Network) -> None:
    for call in CALLS:
        before = len(network.calls)
        with suppress(KeyError, IndexError, TypeError, AttributeError, RemoteError):
            call(session)
        assert len(network.calls) > before, "it was not even sent"

    sent = assert_valid(network)

    # boto3 itself sends files; a bucket's versions and parts are removed where there are some.
    others = {operations("s3")[name] for name in UPLOAD} | {"GetCallerIdentity", "DeleteObjects"}
    left_out = {one.operation for one in PERMISSIONS} - sent - others
    assert left_out == {
        "GetRolePolicy",
        "ListTagsForResource",
        "TagResource",
        "UntagResource",
    }, "what an answer is needed for"
