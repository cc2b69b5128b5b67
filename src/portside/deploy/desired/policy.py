"""The least that an execution role needs for one endpoint, and who may assume it (pure).

Source: the developer guide's sagemaker-roles, and for asynchronous endpoints
async-inference-create-endpoint-prerequisites. What the settings do not switch on is not
allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from portside import contract
from portside.config import Async, EndpointKind, Serverless
from portside.deploy.desired.resources import Where

_VPC_ACTIONS: Final = [
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
]
"""Network interfaces know no resource that a policy could name beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where an endpoint reads and writes: S3 addresses, prefixes of many objects.

    Those that are not needed are None.
    """

    artifacts: str | None
    repository: str
    capture: str | None = None
    input: str | None = None
    output: str | None = None
    failure: str | None = None


def trust_policy(where: Where) -> dict[str, Any]:
    """SageMaker may assume the role for endpoints of this account and region, and nobody else.

    The condition keeps another account from having SageMaker use it. Source: DG
    security-confused-deputy-prevention, "SageMaker AI Inference".
    """
    source = f"arn:{where.partition}:sagemaker:{where.region}:{where.account}:*"
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"ArnLike": {"aws:SourceArn": source}},
        }
    )


def least_policy(
    endpoint: str, settings: EndpointKind, *, places: Places, where: Where
) -> dict[str, Any]:
    """What the endpoint's instances and SageMaker itself need."""
    arn, region = f"arn:{where.partition}", f"{where.region}:{where.account}"
    statements = [
        *_reads(places, arn),
        _allow(
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            f"{arn}:ecr:{region}:repository/{places.repository}",
        ),
        _allow(
            [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            # Of the group, and of the streams in it.
            [
                f"{arn}:logs:{region}:log-group:{contract.LOG_GROUP_PREFIX}{endpoint}",
                f"{arn}:logs:{region}:log-group:{contract.LOG_GROUP_PREFIX}{endpoint}:*",
            ],
        ),
        _allow(["cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"], "*"),
        *_writes(places, arn),
        *_extras(settings),
    ]
    return _document(*statements)


def _reads(places: Places, arn: str) -> list[dict[str, Any]]:
    read = [_objects(place, arn) for place in (places.artifacts, places.input) if place]
    statements = [_allow("s3:GetObject", read[0] if len(read) == 1 else read)] if read else []
    if places.input:
        statements.append(_allow("s3:ListBucket", _bucket(places.input, arn)))
    return statements


def _writes(places: Places, arn: str) -> list[dict[str, Any]]:
    written = [place for place in (places.capture, places.output, places.failure) if place]
    if not written:
        return []
    objects = [_objects(place, arn) for place in written]
    actions = ["s3:PutObject"]
    if places.output:
        actions.insert(0, "s3:AbortMultipartUpload")
    return [_allow(actions, objects)]


def _extras(settings: EndpointKind) -> list[dict[str, Any]]:
    if isinstance(settings, Serverless):
        return []
    statements = []
    if isinstance(settings, Async):
        topics = [topic for topic in (settings.success_topic, settings.error_topic) if topic]
        if topics:
            statements.append(_allow("sns:Publish", sorted({*topics})))
    if settings.kms_key:
        actions = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
        statements.append(_allow(actions, settings.kms_key))
    if settings.vpc:
        statements.append(_allow(_VPC_ACTIONS, "*"))
    if settings.rollout and settings.rollout.alarms:
        statements.append(_allow("cloudwatch:DescribeAlarms", "*"))
    return statements


def _objects(place: str, arn: str) -> str:
    return f"{arn}:s3:::{place.removeprefix('s3://').rstrip('/')}/*"


def _bucket(place: str, arn: str) -> str:
    return f"{arn}:s3:::{place.removeprefix('s3://').partition('/')[0]}"


def _allow(actions: str | list[str], resources: str | list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
