"""An endpoint as its callers see it: of which kind, whether it answers, where it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from portside.aws import sagemaker
from portside.aws.session import Session
from portside.errors import RemoteError


class Kind(StrEnum):
    """How requests come to the model; each kind has limits of its own."""

    SERVERLESS = "serverless"
    REALTIME = "real-time"
    ASYNC = "asynchronous"


ANSWERING: Final = frozenset(
    {"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"}
)
"""States in which requests are answered. Source: API Reference of SageMaker, DescribeEndpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint. `output_path` is where an asynchronous one puts its answers, on S3."""

    name: str
    status: str
    reason: str
    kind: Kind
    models: tuple[str, ...]
    """The Models of its variants."""
    output_path: str | None
    runtime_url: str
    """Scheme and host of the API for predictions."""
    region: str


def look_up(session: Session, name: str) -> Endpoint:
    """The endpoint of a name; raises `RemoteError` where there is none."""
    found = sagemaker.describe_endpoint(session, name)
    if found is None:
        raise _missing(name)
    config = sagemaker.describe_endpoint_config(session, found.config_name) or {}
    variants = config.get("ProductionVariants", [])
    return Endpoint(
        name=found.name,
        status=found.status,
        reason=found.reason,
        kind=_kind(config),
        models=tuple(variant["ModelName"] for variant in variants if "ModelName" in variant),
        output_path=config.get("AsyncInferenceConfig", {})
        .get("OutputConfig", {})
        .get("S3OutputPath"),
        runtime_url=session.runtime.meta.endpoint_url,
        region=session.region,
    )


def trouble(endpoint: Endpoint) -> RemoteError | None:
    """What is the matter with an endpoint whose requests do not reach an instance."""
    if endpoint.status in ANSWERING:
        return None
    reason = f": {endpoint.reason.rstrip('.')}" if endpoint.reason else ""
    return RemoteError(
        f"`{endpoint.name}` does not answer: it is {endpoint.status}{reason}",
        service="sagemaker",
        operation="DescribeEndpoint",
        code=endpoint.status,
        hint="wait until it is InService: run `portside deploy` again, which goes on waiting"
        if endpoint.status == "Creating"
        else f"read why: `portside logs {endpoint.name}`",
    )


def explain(session: Session, name: str, error: RemoteError) -> RemoteError | None:
    """What is the matter with an endpoint that refused, if the control plane tells.

    Whoever may only invoke is not told: the refusal itself is all there is.
    """
    try:
        endpoint = look_up(session, name)
    except RemoteError:
        return None
    if endpoint.kind is Kind.ASYNC:
        error.hint = f"`{name}` is asynchronous: add `--async`"
    return trouble(endpoint)


def _kind(config: dict[str, Any]) -> Kind:
    if "AsyncInferenceConfig" in config:
        return Kind.ASYNC
    if any("ServerlessConfig" in variant for variant in config.get("ProductionVariants", [])):
        return Kind.SERVERLESS
    return Kind.REALTIME


def _missing(name: str) -> RemoteError:
    return RemoteError(
        f"there is no endpoint `{name}`",
        service="sagemaker",
        operation="DescribeEndpoint",
        code="ValidationException",
        hint="deploy it with `portside deploy`; `portside local status` lists what runs",
    )
