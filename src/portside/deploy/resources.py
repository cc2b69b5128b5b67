"""What a project wants in an account, as values with their final names (the desired state)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from portside import __version__, contract
from portside.config import Endpoint as ConfiguredEndpoint
from portside.config import Project, Realtime, Serverless
from portside.image.reference import runtime_image

TAG_PROJECT = "portside:project"
TAG_DIGEST = "portside:digest"

DIGEST_LENGTH = 10
"""Hex digits of a digest in a name: 40 bits, against chance meetings among one project's own."""

POLICY_NAME = "portside"


class Kind(StrEnum):
    """The sorts of resource, as people call them."""

    BUCKET = "bucket"
    ARTIFACT = "model artifact"
    ROLE = "role"
    MODEL = "Model"
    CONFIG = "EndpointConfig"
    ENDPOINT = "Endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The account and region that names are made for."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """First part of every ARN of the region."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelData:
    """The model artifact on this machine: its file, size in bytes, SHA-256 in hex."""

    file: Path
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The bucket that all projects of an account and region share."""

    kind: ClassVar[Kind] = Kind.BUCKET
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The model artifact on S3; its key carries its digest, so it never changes."""

    kind: ClassVar[Kind] = Kind.ARTIFACT
    bucket: str
    key: str
    data: ModelData

    @property
    def name(self) -> str:
        """Its address on S3."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """The execution role: what SageMaker may do on behalf of this project's endpoints."""

    kind: ClassVar[Kind] = Kind.ROLE
    name: str
    arn: str
    trust: dict[str, Any]
    policy: dict[str, Any]
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A SageMaker Model; cannot be changed, hence the digest in its name."""

    kind: ClassVar[Kind] = Kind.MODEL
    name: str
    image: str
    model_data: str
    environment: dict[str, str]
    role_arn: str
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """A SageMaker EndpointConfig; `variants` in AWS's spelling."""

    kind: ClassVar[Kind] = Kind.CONFIG
    name: str
    variants: list[dict[str, Any]]
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A SageMaker Endpoint: a name that points at an EndpointConfig."""

    kind: ClassVar[Kind] = Kind.ENDPOINT
    name: str
    config_name: str
    tags: dict[str, str]


Resource: TypeAlias = Bucket | Artifact | Role | Model | EndpointConfig | Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything that a project wants, in the order in which it must be made."""

    project: str
    resources: tuple[Resource, ...]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints among the resources."""
        return tuple(found for found in self.resources if isinstance(found, Endpoint))


def desired(project: Project, model_data: ModelData, *, where: Where) -> Desired:
    """The resources of a project whose artifact is made."""
    tags = {TAG_PROJECT: project.name}
    bucket = Bucket(name=bucket_name(account=where.account, region=where.region))
    artifact = Artifact(
        bucket=bucket.name,
        key=f"{artifact_prefix(project.name)}{model_data.digest}/model.tar.gz",
        data=model_data,
    )
    role = _role(project.name, bucket, where=where)
    image = str(runtime_image(account=where.account, region=where.region, version=__version__))
    resources: list[Resource] = [bucket, artifact, role]
    for endpoint in project.endpoints:
        model = _model(endpoint, image, artifact=artifact, role=role, tags=tags)
        config = _endpoint_config(endpoint, model, tags=tags)
        resources += [model, config]
        resources.append(Endpoint(name=endpoint.name, config_name=config.name, tags=tags))
    return Desired(project=project.name, resources=tuple(resources))


def bucket_name(*, account: str, region: str) -> str:
    """The bucket of an account and region; S3's names are one space for everybody."""
    return f"portside-{account}-{region}"


def artifact_prefix(project: str) -> str:
    """Where in the bucket a project's artifacts lie; no project's prefix begins another's."""
    return f"{project}/"


def role_name(project: str) -> str:
    """The name of a project's execution role."""
    return f"portside-{project}"


def _role(project: str, bucket: Bucket, *, where: Where) -> Role:
    name = role_name(project)
    return Role(
        name=name,
        arn=f"arn:{where.partition}:iam::{where.account}:role/{name}",
        trust={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sagemaker.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        },
        policy=_least_policy(project, bucket, where=where),
        tags={TAG_PROJECT: project},
    )


def _least_policy(project: str, bucket: Bucket, *, where: Where) -> dict[str, Any]:
    """What hosting needs and no more. Source: the developer guide, sagemaker-roles."""
    arn = f"arn:{where.partition}"
    group = f"log-group:{contract.LOG_GROUP_PREFIX}*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"{arn}:s3:::{bucket.name}/{artifact_prefix(project)}*",
            },
            {
                "Effect": "Allow",
                "Action": [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetDownloadUrlForLayer",
                ],
                "Resource": f"{arn}:ecr:{where.region}:{where.account}:repository/portside-*",
            },
            {
                "Effect": "Allow",
                "Action": [
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                "Resource": f"{arn}:logs:{where.region}:{where.account}:{group}",
            },
            {
                "Effect": "Allow",
                "Action": ["cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"],
                "Resource": "*",
            },
        ],
    }


def _model(
    endpoint: ConfiguredEndpoint,
    image: str,
    *,
    artifact: Artifact,
    role: Role,
    tags: dict[str, str],
) -> Model:
    environment = endpoint.settings.environment
    fields = {
        "image": image,
        "model_data": artifact.name,
        "environment": environment,
        "role_arn": role.arn,
    }
    digest = _digest(fields)
    return Model(
        name=_addressed(endpoint.name, digest),
        image=image,
        model_data=artifact.name,
        environment=environment,
        role_arn=role.arn,
        tags=tags | {TAG_DIGEST: digest},
    )


def _endpoint_config(
    endpoint: ConfiguredEndpoint, model: Model, *, tags: dict[str, str]
) -> EndpointConfig:
    variant: dict[str, Any] = {"VariantName": contract.DEFAULT_VARIANT, "ModelName": model.name}
    match endpoint.settings:
        case Serverless(memory_size_mb=memory, max_concurrency=concurrency):
            variant["ServerlessConfig"] = {"MemorySizeInMB": memory, "MaxConcurrency": concurrency}
        case Realtime(instance_type=instance_type, instance_count=count):
            variant |= {"InstanceType": instance_type, "InitialInstanceCount": count}
    digest = _digest({"variants": [variant]})
    return EndpointConfig(
        name=_addressed(endpoint.name, digest), variants=[variant], tags=tags | {TAG_DIGEST: digest}
    )


def _digest(fields: dict[str, Any]) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _addressed(endpoint: str, digest: str) -> str:
    """`<endpoint>-<first ten hex digits>`; `config` holds endpoint names short enough."""
    return f"{endpoint}-{digest[:DIGEST_LENGTH]}"
