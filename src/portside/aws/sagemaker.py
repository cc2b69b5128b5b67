"""The control plane: Models, EndpointConfigs and Endpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from portside import contract
from portside.aws.session import Session, explained
from portside.errors import RemoteError

T = TypeVar("T")


class Made(NamedTuple):
    """A Model, an EndpointConfig or an Endpoint in a list; made in seconds since 1970."""

    name: str
    arn: str
    created_at: float
    status: str = ""
    """Of an endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """An endpoint as it stands. `arn` is AWS's, `reason` is empty unless something failed."""

    name: str
    arn: str
    status: str
    config_name: str
    reason: str
    instances: int


def describe_model(session: Session, name: str) -> dict[str, Any] | None:
    """AWS's description of a Model, or None where there is none."""
    return _found(lambda: dict(session.sagemaker.describe_model(ModelName=name)), "DescribeModel")


def describe_endpoint_config(session: Session, name: str) -> dict[str, Any] | None:
    """AWS's description of an EndpointConfig, or None where there is none."""
    return _found(
        lambda: dict(session.sagemaker.describe_endpoint_config(EndpointConfigName=name)),
        "DescribeEndpointConfig",
    )


def describe_endpoint(session: Session, name: str) -> EndpointState | None:
    """The endpoint as it stands, or None where there is none."""
    found = _found(
        lambda: session.sagemaker.describe_endpoint(EndpointName=name), "DescribeEndpoint"
    )
    if found is None:
        return None
    return EndpointState(
        name=found["EndpointName"],
        arn=found["EndpointArn"],
        status=found["EndpointStatus"],
        config_name=found.get("EndpointConfigName", ""),
        reason=found.get("FailureReason", ""),
        instances=sum(
            variant.get("CurrentInstanceCount", 0)
            for variant in found.get("ProductionVariants", [])
        ),
    )


def create_model(
    session: Session,
    name: str,
    *,
    image: str,
    model_data: str | None,
    environment: dict[str, str],
    role_arn: str,
    tags: dict[str, str],
    vpc: dict[str, Any] | None = None,
) -> None:
    """Make a Model of one container; `vpc` in AWS's spelling."""
    container: dict[str, Any] = {"Image": image, "Environment": environment}
    if model_data is not None:
        container["ModelDataUrl"] = model_data
    with explained("sagemaker", "CreateModel"):
        session.sagemaker.create_model(
            ModelName=name,
            PrimaryContainer=container,  # type: ignore[arg-type]  # as above
            ExecutionRoleArn=role_arn,
            Tags=_tag_list(tags),
            **({} if vpc is None else {"VpcConfig": vpc}),  # type: ignore[arg-type]  # built and checked in deploy.desired
        )


def create_endpoint_config(
    session: Session,
    name: str,
    *,
    variants: list[dict[str, Any]],
    settings: dict[str, Any],
    tags: dict[str, str],
) -> None:
    """Make an EndpointConfig; `variants` (ProductionVariants) and `settings` in AWS's spelling."""
    with explained("sagemaker", "CreateEndpointConfig"):
        session.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=variants,  # type: ignore[arg-type]  # built and checked in deploy.desired
            Tags=_tag_list(tags),
            **settings,
        )


def create_endpoint(session: Session, name: str, *, config_name: str, tags: dict[str, str]) -> None:
    """Ask for an endpoint; it is Creating when this returns."""
    with explained("sagemaker", "CreateEndpoint"):
        session.sagemaker.create_endpoint(
            EndpointName=name, EndpointConfigName=config_name, Tags=_tag_list(tags)
        )


def update_endpoint(
    session: Session,
    name: str,
    *,
    config_name: str,
    deployment: dict[str, Any] | None,
    retain_capacity: bool,
) -> None:
    """Move an endpoint to another EndpointConfig; it is Updating when this returns.

    `deployment` is a DeploymentConfig in AWS's spelling. `retain_capacity` leaves instance counts
    as they are, and takes weights and data capture from the new config.
    """
    extra: dict[str, Any] = {} if deployment is None else {"DeploymentConfig": deployment}
    if retain_capacity:
        changed = ("DesiredWeight", "DataCaptureConfig")
        extra["RetainAllVariantProperties"] = True
        extra["ExcludeRetainedVariantProperties"] = [
            {"VariantPropertyType": name} for name in changed
        ]
    with explained("sagemaker", "UpdateEndpoint"):
        session.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=config_name, **extra
        )


def set_tags(session: Session, arn: str, *, tags: dict[str, str], removed: list[str]) -> None:
    """Take tags away from a resource, and then put others on it, which may tell of the rest."""
    if removed:
        with explained("sagemaker", "DeleteTags"):
            session.sagemaker.delete_tags(ResourceArn=arn, TagKeys=removed)
    if tags:
        with explained("sagemaker", "AddTags"):
            session.sagemaker.add_tags(ResourceArn=arn, Tags=_tag_list(tags))


def list_models(session: Session, *, contains: str | None = None) -> list[Made]:
    """The Models whose name contains a text, or all."""
    with explained("sagemaker", "ListModels"):
        pages = session.sagemaker.get_paginator("list_models").paginate(**_chosen(contains))
        return [
            Made(model["ModelName"], model["ModelArn"], model["CreationTime"].timestamp())
            for page in pages
            for model in page["Models"]
        ]


def list_endpoint_configs(session: Session, *, contains: str | None = None) -> list[Made]:
    """The EndpointConfigs whose name contains a text, or all."""
    with explained("sagemaker", "ListEndpointConfigs"):
        pages = session.sagemaker.get_paginator("list_endpoint_configs").paginate(
            **_chosen(contains)
        )
        return [
            Made(
                config["EndpointConfigName"],
                config["EndpointConfigArn"],
                config["CreationTime"].timestamp(),
            )
            for page in pages
            for config in page["EndpointConfigs"]
        ]


def list_endpoints(session: Session, *, contains: str | None = None) -> list[Made]:
    """The endpoints whose name contains a text, or all."""
    with explained("sagemaker", "ListEndpoints"):
        pages = session.sagemaker.get_paginator("list_endpoints").paginate(**_chosen(contains))
        return [
            Made(
                endpoint["EndpointName"],
                endpoint["EndpointArn"],
                endpoint["CreationTime"].timestamp(),
                endpoint["EndpointStatus"],
            )
            for page in pages
            for endpoint in page["Endpoints"]
        ]


def delete_model(session: Session, name: str) -> None:
    """Remove a Model; one that is gone already is no error."""
    _found(lambda: session.sagemaker.delete_model(ModelName=name), "DeleteModel")


def delete_endpoint_config(session: Session, name: str) -> None:
    """Remove an EndpointConfig; one that is gone already is no error."""
    _found(
        lambda: session.sagemaker.delete_endpoint_config(EndpointConfigName=name),
        "DeleteEndpointConfig",
    )


def delete_endpoint(session: Session, name: str) -> None:
    """Begin to remove an endpoint; one that is gone already is no error."""
    _found(lambda: session.sagemaker.delete_endpoint(EndpointName=name), "DeleteEndpoint")


def list_tags(session: Session, arn: str) -> dict[str, str]:
    """The tags of a resource."""
    with explained("sagemaker", "ListTags"):
        pages = session.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def _found(ask: Callable[[], T], operation: str) -> T | None:
    """What was asked for, or None where SageMaker says that it could not be found.

    SageMaker has no code of its own for this, only a `ValidationException` whose text
    begins so. Source: seen in public reports, for instance terraform-provider-aws#40048.
    """
    try:
        with explained("sagemaker", operation):
            return ask()
    except RemoteError as error:
        if error.code == "ValidationException" and "Could not find" in error.message:
            return None
        raise


def _chosen(contains: str | None) -> dict[str, Any]:
    named = {} if contains is None else {"NameContains": contains}
    return {"PaginationConfig": {"PageSize": contract.LIST_PAGE_SIZE}, **named}


def _tag_list(tags: dict[str, str]) -> list[Any]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
