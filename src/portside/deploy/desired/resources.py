"""What can be wanted in an account, as values with their final names; `desired` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

TAG_PROJECT = "portside:project"
TAG_DIGEST = "portside:digest"
TAG_TTL = "portside:ttl"
"""How long an endpoint may live from its creation on, as the config has it: `8h`, `7d`."""
TAG_VERIFIED = "portside:verified"
"""The EndpointConfig with which an endpoint was seen to answer as it should: a tag of the endpoint
(the last one), and of that config."""
TAG_REGION = "portside:region"
"""Of what is the same in all regions (roles): the one whose endpoints it serves."""
TAG_KEYS = "portside:tags"
"""Which of a resource's tags the config had set: short digests of their keys; see `tag`."""
TAG_NEEDS = "portside:needs"
"""Of an endpoint that runs with a role of the user's: the digest of what that was checked for."""


class Kind(StrEnum):
    """The sorts of resource, as people call them."""

    BUCKET = "bucket"
    ARTIFACT = "model artifact"
    REPOSITORY = "repository"
    IMAGE = "image"
    ROLE = "role"
    MODEL = "Model"
    CONFIG = "EndpointConfig"
    ENDPOINT = "Endpoint"
    SCALABLE_TARGET = "scalable target"
    SCALING_POLICY = "scaling policy"
    ALARM = "alarm"


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

    @property
    def registry(self) -> str:
        """The host of the account's image registry, as SageMaker is told of it."""
        dns = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return f"{self.account}.dkr.ecr.{self.region}.{dns}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelData:
    """The model artifact on this machine: its file, size in bytes, SHA-256 in hex.

    `memory_bytes` and `latency_ms` were measured while it was proven; None where nobody did.
    """

    file: Path
    size_bytes: int
    digest: str
    memory_bytes: int | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """The image on this machine: its manifest's digest (`sha256:…`), its layers and config.

    `blobs` are their sizes in bytes by their digests.
    """

    digest: str
    blobs: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The bucket that all projects of an account and region share.

    Encrypted, closed to the public, and versioned.
    """

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
class Repository:
    """The project's repository of images."""

    kind: ClassVar[Kind] = Kind.REPOSITORY
    name: str
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The project's image in its repository, under a tag that is made from its digest."""

    kind: ClassVar[Kind] = Kind.IMAGE
    registry: str
    repository: str
    tag: str
    data: ImageData

    @property
    def name(self) -> str:
        """By which a Model refers to it: the digest, so that it never changes."""
        return f"{self.registry}/{self.repository}@{self.data.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """The execution role: what SageMaker may do on behalf of one endpoint."""

    kind: ClassVar[Kind] = Kind.ROLE
    endpoint: str
    name: str
    arn: str
    trust: dict[str, Any]
    policy: dict[str, Any]
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRole:
    """An execution role of the user's own: only looked at, never changed.

    `trust` and `policy` are the least that it must allow for an endpoint.
    """

    kind: ClassVar[Kind] = Kind.ROLE
    endpoint: str
    name: str
    arn: str
    trust: dict[str, Any]
    policy: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A SageMaker Model; cannot be changed, hence the digest in its name.

    `model_data` is None where the model lies in the image. `vpc` in AWS's spelling.
    """

    kind: ClassVar[Kind] = Kind.MODEL
    name: str
    image: str
    model_data: str | None
    environment: dict[str, str]
    role_arn: str
    tags: dict[str, str]
    vpc: dict[str, Any] | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What makes it what it is, in AWS's spelling."""
        return model_fields(
            image=self.image,
            model_data=self.model_data,
            environment=self.environment,
            role_arn=self.role_arn,
            vpc=self.vpc,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """A SageMaker EndpointConfig; `variants` and `settings` in AWS's spelling."""

    kind: ClassVar[Kind] = Kind.CONFIG
    name: str
    variants: list[dict[str, Any]]
    tags: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)
    """DataCaptureConfig, AsyncInferenceConfig, KmsKeyId: each where it is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A SageMaker Endpoint: a name that points at an EndpointConfig.

    `deployment` is the DeploymentConfig of its updates, in AWS's spelling.
    """

    kind: ClassVar[Kind] = Kind.ENDPOINT
    name: str
    config_name: str
    tags: dict[str, str]
    deployment: dict[str, Any] | None = None
    retain_capacity: bool = False
    """Whether an update leaves the instance counts as auto scaling has set them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalableTarget:
    """Within which bounds Application Auto Scaling may move a variant's capacity."""

    kind: ClassVar[Kind] = Kind.SCALABLE_TARGET
    endpoint: str
    name: str
    """Application Auto Scaling's resource ID: `endpoint/NAME/variant/VARIANT`."""
    dimension: str
    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """What a variant's capacity follows; `configuration` in AWS's spelling.

    `alarm` is a metric alarm whose action it is; target tracking has alarms of its own.
    """

    kind: ClassVar[Kind] = Kind.SCALING_POLICY
    endpoint: str
    name: str
    resource_id: str
    dimension: str
    policy_type: str
    configuration: dict[str, Any]
    alarm: dict[str, Any] | None = None


Resource: TypeAlias = (
    Bucket
    | Artifact
    | Repository
    | Image
    | Role
    | GivenRole
    | Model
    | EndpointConfig
    | Endpoint
    | ScalableTarget
    | ScalingPolicy
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything that a project wants, in the order in which it must be made."""

    project: str
    resources: tuple[Resource, ...]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints among the resources."""
        return tuple(found for found in self.resources if isinstance(found, Endpoint))

    @property
    def configs(self) -> dict[str, EndpointConfig]:
        """The EndpointConfigs among them, by name."""
        return {found.name: found for found in self.resources if isinstance(found, EndpointConfig)}

    @property
    def models(self) -> dict[str, Model]:
        """The Models among them, by name."""
        return {found.name: found for found in self.resources if isinstance(found, Model)}


def model_fields(
    *,
    image: str,
    model_data: str | None,
    environment: dict[str, str],
    role_arn: str,
    vpc: dict[str, Any] | None,
) -> dict[str, Any]:
    """What a Model is made from, in AWS's spelling and without what is not set."""
    fields = {
        "Image": image,
        "ModelDataUrl": model_data,
        "Environment": environment or None,
        "ExecutionRoleArn": role_arn,
        "VpcConfig": vpc,
    }
    return {name: value for name, value in fields.items() if value is not None}
