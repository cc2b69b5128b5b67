"""An endpoint and what it runs, as values, and as the JSON that the store keeps.

A `Deployment` is copied out of the EndpointConfig and its Models when it is
asked for, because all of these may be deleted while the endpoint lives.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from portside.local.state.endpoint_state import MOVES, EndpointEvent, EndpointStatus
from portside.local.state.resource import Kind, Resource, arn_of
from portside.local.state_machine import transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A ProductionVariant with its Model's container, and what its names were found to mean.

    `role_arn` is the Model's execution role. `serverless` is AWS's own ServerlessConfig;
    where it is None, `instance_count` instances run. `resolved_image` and
    `model_data_digest` (sha256 of `model.tar.gz`, in hex) are None until they are looked
    up; from then on every new instance gets them.
    """

    name: str
    model_name: str
    image: str
    model_data_url: str | None
    environment: dict[str, str]
    weight: float
    instance_count: int
    serverless: dict[str, int] | None
    startup_timeout_s: int | None
    instance_type: str | None = None
    routing: str | None = None
    resolved_image: str | None = None
    resolution_time_ms: int | None = None
    model_data_digest: str | None = None
    role_arn: str | None = None

    def scaled_as(self, other: Variant) -> Self:
        """This one, with the weight and capacity of the other."""
        return replace(
            self,
            weight=other.weight,
            instance_count=other.instance_count,
            serverless=other.serverless,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What an EndpointConfig came to; `data_capture` is AWS's own DataCaptureConfig."""

    config_name: str
    variants: tuple[Variant, ...]
    requested_time_ms: int
    data_capture: dict[str, Any] | None = None

    @property
    def is_serverless(self) -> bool:
        """Whether it runs without instances of its own; SageMaker allows no mixture."""
        return any(variant.serverless is not None for variant in self.variants)

    def variant(self, name: str) -> Variant | None:
        """The variant of this name."""
        return next((each for each in self.variants if each.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint: `deployment` serves, `pending` is on its way.

    `is_scaling`: what is pending has other weights and capacities, and nothing else is new.
    `stage` is the VariantStatus of what is pending, in SageMaker's words.
    `deployment_config` is AWS's own DeploymentConfig, of the last update that had one.
    """

    account: str
    region: str
    name: str
    status: EndpointStatus
    creation_time_ms: int
    last_modified_time_ms: int
    deployment: Deployment | None = None
    pending: Deployment | None = None
    is_scaling: bool = False
    stage: str | None = None
    deployment_config: dict[str, Any] | None = None
    failure_reason: str | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        return arn_of(Kind.ENDPOINT, self.name, account=self.account, region=self.region)

    @property
    def config_name(self) -> str:
        """The EndpointConfig that it runs, or should."""
        shown = self.deployment or self.pending
        return "" if shown is None else shown.config_name

    def moved(self, event: EndpointEvent, *, at_ms: int) -> Self:
        """The endpoint after an event."""
        status = transition(self.status, event, moves=MOVES)
        return replace(self, status=status, last_modified_time_ms=at_ms)

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """From its row."""
        members = resource.members
        return cls(
            account=resource.account,
            region=resource.region,
            name=resource.name,
            status=EndpointStatus(resource.status),
            creation_time_ms=resource.creation_time_ms,
            last_modified_time_ms=resource.last_modified_time_ms,
            deployment=_deployment(members["deployment"]),
            pending=_deployment(members["pending"]),
            is_scaling=members["is_scaling"],
            stage=members["stage"],
            deployment_config=members["deployment_config"],
            failure_reason=members["failure_reason"],
        )

    def resource(self) -> Resource:
        """Its row."""
        return Resource(
            kind=Kind.ENDPOINT,
            account=self.account,
            region=self.region,
            name=self.name,
            creation_time_ms=self.creation_time_ms,
            last_modified_time_ms=self.last_modified_time_ms,
            status=self.status,
            members={
                "deployment": None if self.deployment is None else asdict(self.deployment),
                "pending": None if self.pending is None else asdict(self.pending),
                "is_scaling": self.is_scaling,
                "stage": self.stage,
                "deployment_config": self.deployment_config,
                "failure_reason": self.failure_reason,
            },
        )


def _deployment(members: dict[str, Any] | None) -> Deployment | None:
    if members is None:
        return None
    variants = tuple(Variant(**variant) for variant in members["variants"])
    return Deployment(**{**members, "variants": variants})
