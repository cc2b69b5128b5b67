"""`[endpoint]` and `[endpoints.NAME]`: the keys of each kind of endpoint.

EndpointSection           keys that every kind has
├── Serverless            costs nothing while idle
└── InstanceSection       runs on instances that cost all the time
├── Realtime          answers at once
└── Async             answers into a bucket, and may scale down to no instance
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from portside import contract
from portside.config.section import Section

Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=contract.ROLLOUT_WAIT_S)]
InstanceCount = Annotated[int, msgspec.Meta(ge=1, le=100)]
Concurrency = Annotated[int, msgspec.Meta(ge=1, le=contract.SERVERLESS_MAX_CONCURRENCY)]
Weight = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Cooldown = Annotated[int, msgspec.Meta(ge=0)]

Metric = Literal["invocations_per_instance", "concurrent_requests_per_model"]
RolloutKind = Literal["all_at_once", "canary", "linear"]


class VpcSection(Section, frozen=True, kw_only=True):
    """`[endpoint.vpc]`: the network that the containers may reach. BC VpcConfig."""

    subnets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=contract.VPC_SUBNETS)]
    security_groups: Annotated[
        tuple[str, ...], msgspec.Meta(min_length=1, max_length=contract.VPC_SECURITY_GROUPS)
    ]


class CaptureSection(Section, frozen=True, kw_only=True):
    """`[endpoint.capture]`: requests and answers that are kept on S3. BC DataCaptureConfig."""

    sampling_percentage: Percent = 100
    destination: str | None = None
    """An S3 prefix; without it one of Portside's own bucket."""


class RolloutSection(Section, frozen=True, kw_only=True):
    """`[endpoint.rollout]`: how the traffic moves in an update. BC BlueGreenUpdatePolicy."""

    kind: RolloutKind = "all_at_once"
    step_percent: Percent | None = None
    """Of the new fleet's capacity: the canary's size, or each step of a linear one."""
    wait_s: Seconds = 300
    """After each step, with an eye on the alarms."""
    termination_wait_s: Seconds = 0
    """From the last step until the old fleet is ended."""
    alarms: Annotated[tuple[str, ...], msgspec.Meta(max_length=contract.ROLLBACK_ALARMS)] = ()
    """CloudWatch alarms that send all traffic back. BC AutoRollbackConfig."""


class ScalingSection(Section, frozen=True, kw_only=True):
    """`[endpoint.scaling]` of a real-time endpoint: instances follow a metric."""

    min_instances: InstanceCount = 1
    max_instances: InstanceCount
    metric: Metric = "invocations_per_instance"
    target: Positive
    """Of the metric: invocations a minute, or requests at a time."""
    scale_in_cooldown_s: Cooldown = 300
    scale_out_cooldown_s: Cooldown = 300
    """Both as AWS has them unless they are told otherwise. DG endpoint-auto-scaling-policy."""


class AsyncScalingSection(Section, frozen=True, kw_only=True):
    """`[endpoint.scaling]` of an asynchronous endpoint: from no instance on, by its backlog."""

    min_instances: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    max_instances: InstanceCount = 1
    target: Positive = 5
    """Requests that may wait for each instance. DG async-inference-autoscale has 5, too."""
    scale_in_cooldown_s: Cooldown = 600
    scale_out_cooldown_s: Cooldown = 300


class ProvisionedScalingSection(Section, frozen=True, kw_only=True):
    """`[endpoint.scaling]` of a serverless endpoint: its provisioned concurrency."""

    min_concurrency: Concurrency = 1
    max_concurrency: Concurrency
    target: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.7
    """The share that is in use. DG serverless-endpoints-autoscale has 0.7, too."""
    scale_in_cooldown_s: Cooldown = 300
    scale_out_cooldown_s: Cooldown = 300


class VariantSection(Section, frozen=True, kw_only=True):
    """`[[endpoint.variants]]`: a share of the traffic, on instances of its own."""

    name: str
    weight: Weight = 1.0
    instance_type: str | None = None
    instance_count: InstanceCount | None = None
    """Both are the endpoint's own where they are not set."""
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    """In addition to the endpoint's own; stronger than that."""


class EndpointSection(Section, frozen=True, kw_only=True):
    """Keys that every kind of endpoint has."""

    environment: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    role: str | None = None
    """The ARN of an execution role of the user's own; without it Portside makes one."""
    ttl: str | None = None
    """How long the endpoint may live, as in `8h` or `7d`."""
    budget: Positive | None = None
    """US dollars a month that the endpoint may cost while nobody calls it."""


class Serverless(EndpointSection, frozen=True, kw_only=True, tag_field="kind", tag="serverless"):
    """An endpoint that costs nothing while idle, but for provisioned concurrency."""

    memory_size_mb: int | None = None
    """None: what the model was measured to need, 2048 at least."""
    max_concurrency: int = 5
    provisioned_concurrency: int | None = None
    scaling: ProvisionedScalingSection | None = None


class InstanceSection(EndpointSection, frozen=True, kw_only=True):
    """Keys of endpoints that run on instances."""

    instance_type: str = "ml.m5.large"
    instance_count: InstanceCount = 1
    allow_unknown_instance_type: bool = False
    """Whether an instance type is taken that Portside has not heard of."""
    vpc: VpcSection | None = None
    kms_key: str | None = None
    """The ARN of a KMS key for the instances' disks and for what is written to S3."""
    rollout: RolloutSection | None = None


class Realtime(InstanceSection, frozen=True, kw_only=True, tag_field="kind", tag="realtime"):
    """An endpoint on instances that run all the time."""

    variants: Annotated[
        tuple[VariantSection, ...], msgspec.Meta(max_length=contract.PRODUCTION_VARIANTS)
    ] = ()
    scaling: ScalingSection | None = None
    capture: CaptureSection | None = None


class Async(InstanceSection, frozen=True, kw_only=True, tag_field="kind", tag="async"):
    """An endpoint whose requests and answers lie on S3."""

    input: str | None = None
    """The S3 prefix that requests are read from; without it one of Portside's own bucket."""
    output: str | None = None
    failure: str | None = None
    """S3 prefixes; without them such ones of Portside's own bucket."""
    success_topic: str | None = None
    error_topic: str | None = None
    """ARNs of SNS topics that hear of each answer."""
    max_concurrent_invocations: (
        Annotated[int, msgspec.Meta(ge=1, le=contract.ASYNC_MAX_CONCURRENT_INVOCATIONS)] | None
    ) = None
    """Of one instance; None leaves it to SageMaker."""
    scaling: AsyncScalingSection | None = None


EndpointKind = Serverless | Realtime | Async
KINDS: Final[dict[str, type[EndpointKind]]] = {
    "serverless": Serverless,
    "realtime": Realtime,
    "async": Async,
}
