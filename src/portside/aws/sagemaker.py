"""The control plane: Models, EndpointConfigs and Endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from portside.aws.session import Session, explained
from portside.errors import RemoteError

T = TypeVar("T")


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
    model_data: str,
    environment: dict[str, str],
    role_arn: str,
    tags: dict[str, str],
) -> None:
    """Make a Model of one container."""
    with explained("sagemaker", "CreateModel"):
        session.sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={
                "Image": image,
                "ModelDataUrl": model_data,
                "Environment": environment,
            },
            ExecutionRoleArn=role_arn,
            Tags=_tag_list(tags),
        )


def create_endpoint_config(
    session: Session, name: str, *, variants: list[dict[str, Any]], tags: dict[str, str]
) -> None:
    """Make an EndpointConfig; `variants` are ProductionVariants in AWS's spelling."""
    with explained("sagemaker", "CreateEndpointConfig"):
        session.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=variants,  # type: ignore[arg-type]  # built and checked in deploy.resources
            Tags=_tag_list(tags),
        )


def create_endpoint(session: Session, name: str, *, config_name: str, tags: dict[str, str]) -> None:
    """Ask for an endpoint; it is Creating when this returns."""
    with explained("sagemaker", "CreateEndpoint"):
        session.sagemaker.create_endpoint(
            EndpointName=name, EndpointConfigName=config_name, Tags=_tag_list(tags)
        )


def update_endpoint(session: Session, name: str, *, config_name: str) -> None:
    """Move an endpoint to another EndpointConfig; it is Updating when this returns."""
    with explained("sagemaker", "UpdateEndpoint"):
        session.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config_name)


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


def list_models(session: Session, *, contains: str | None = None) -> Iterator[tuple[str, str]]:
    """Name and ARN of each Model whose name contains a text, or of all."""
    with explained("sagemaker", "ListModels"):
        for page in session.sagemaker.get_paginator("list_models").paginate(
            **_name_filter(contains)
        ):
            yield from ((model["ModelName"], model["ModelArn"]) for model in page["Models"])


def list_endpoint_configs(
    session: Session, *, contains: str | None = None
) -> Iterator[tuple[str, str]]:
    """Name and ARN of each EndpointConfig whose name contains a text, or of all."""
    with explained("sagemaker", "ListEndpointConfigs"):
        for page in session.sagemaker.get_paginator("list_endpoint_configs").paginate(
            **_name_filter(contains)
        ):
            for config in page["EndpointConfigs"]:
                yield config["EndpointConfigName"], config["EndpointConfigArn"]


def list_endpoints(session: Session, *, contains: str | None = None) -> Iterator[tuple[str, str]]:
    """Name and ARN of each endpoint whose name contains a text, or of all."""
    with explained("sagemaker", "ListEndpoints"):
        for page in session.sagemaker.get_paginator("list_endpoints").paginate(
            **_name_filter(contains)
        ):
            for endpoint in page["Endpoints"]:
                yield endpoint["EndpointName"], endpoint["EndpointArn"]


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


def _name_filter(contains: str | None) -> dict[str, Any]:
    return {} if contains is None else {"NameContains": contains}


def _tag_list(tags: dict[str, str]) -> list[Any]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
