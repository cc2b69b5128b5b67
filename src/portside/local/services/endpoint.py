"""Endpoints: what is wanted of them is written here, and the controller makes it so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside.local.clock import moment
from portside.local.deployment import Deployment, Endpoint, Variant
from portside.local.endpoint_state import EndpointEvent, EndpointStatus
from portside.local.listing import list_resources
from portside.local.refusal import (
    already_exists,
    failed,
    in_progress,
    invalid,
    not_found,
    over_limit,
    refuse_unbuilt,
)
from portside.local.resource import Kind, Resource, arn_of

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.protocol.call import Call
    from portside.local.store import Store

_UNBUILT_UPDATE: Final = (
    "DeploymentConfig",
    "ExcludeRetainedVariantProperties",
    "RetainAllVariantProperties",
    "RetainDeploymentConfig",
)

MAX_INSTANCES: Final = 20
"""Of one endpoint, and ours: each is a process of this machine with the model in memory."""


class Reconciler(Protocol):
    """Who acts on what is written."""

    def reconcile(self, arn: str) -> None:
        """Look at an endpoint, because what is wanted of it has changed."""
        ...


class EndpointService:
    """CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint, DeleteEndpoint."""

    def __init__(self, store: Store, *, controller: Reconciler, clock: Clock) -> None:
        self._store = store
        self._controller = controller
        self._clock = clock

    async def create(self, call: Call) -> dict[str, Any]:
        """Keep a new endpoint, in Creating."""
        params = call.params
        refuse_unbuilt(params, ["DeploymentConfig"], of="CreateEndpoint")
        arn = _arn(call, Kind.ENDPOINT, params["EndpointName"])
        if self._store.find(arn) is not None:
            raise already_exists(Kind.ENDPOINT, arn)
        now_ms = self._clock.now_ms()
        endpoint = Endpoint(
            account=call.account,
            region=call.region,
            name=params["EndpointName"],
            status=EndpointStatus.CREATING,
            creation_time_ms=now_ms,
            last_modified_time_ms=now_ms,
            pending=self._deployment(call),
        )
        tags = {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}
        self._store.add(endpoint.resource(), tags=tags)
        self._controller.reconcile(arn)
        return {"EndpointArn": arn}

    async def describe(self, call: Call) -> dict[str, Any]:
        """Tell where an endpoint stands."""
        endpoint = self._find(call)
        output: dict[str, Any] = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config_name,
            "EndpointStatus": endpoint.status,
            "CreationTime": moment(endpoint.creation_time_ms),
            "LastModifiedTime": moment(endpoint.last_modified_time_ms),
        }
        has_failed = endpoint.status is EndpointStatus.FAILED
        shown = endpoint.deployment or (endpoint.pending if has_failed else None)
        if shown is not None:
            output["ProductionVariants"] = [_variant_summary(shown, is_running=not has_failed)]
        if endpoint.pending is not None and not has_failed:
            output["PendingDeploymentSummary"] = _pending_summary(endpoint.pending, endpoint)
        if endpoint.failure_reason is not None:
            output["FailureReason"] = endpoint.failure_reason
        return output

    async def list_page(self, call: Call) -> dict[str, Any]:
        """One page of summaries."""
        endpoints, next_token = list_resources(self._store, call, Kind.ENDPOINT)
        summaries = [
            {
                "EndpointName": endpoint.name,
                "EndpointArn": endpoint.arn,
                "CreationTime": moment(endpoint.creation_time_ms),
                "LastModifiedTime": moment(endpoint.last_modified_time_ms),
                "EndpointStatus": endpoint.status,
            }
            for endpoint in endpoints
        ]
        return {"Endpoints": summaries, **next_token}

    async def update(self, call: Call) -> dict[str, Any]:
        """Move an endpoint to another EndpointConfig; it serves all the while."""
        refuse_unbuilt(call.params, _UNBUILT_UPDATE, of="UpdateEndpoint")
        endpoint = self._at_rest(call)
        if endpoint.status is EndpointStatus.FAILED:
            raise failed(endpoint.arn)
        pending = self._deployment(call)
        if (
            endpoint.deployment is not None
            and endpoint.deployment.variant.serverless is None
            and pending.variant.serverless is not None
        ):
            raise invalid(
                f'Cannot update endpoint "{endpoint.arn}" from instances to serverless.'
                " Only the other way is supported."
            )
        updating = endpoint.moved(EndpointEvent.UPDATE, at_ms=self._clock.now_ms())
        self._store.save(replace(updating, pending=pending, failure_reason=None).resource())
        self._controller.reconcile(endpoint.arn)
        return {"EndpointArn": endpoint.arn}

    async def delete(self, call: Call) -> dict[str, Any]:
        """Begin to delete an endpoint; its log streams stay."""
        endpoint = self._at_rest(call)
        deleting = endpoint.moved(EndpointEvent.DELETE, at_ms=self._clock.now_ms())
        self._store.save(deleting.resource())
        self._controller.reconcile(endpoint.arn)
        return {}

    def _find(self, call: Call) -> Endpoint:
        arn = _arn(call, Kind.ENDPOINT, call.params["EndpointName"])
        resource = self._store.find(arn)
        if resource is None:
            raise not_found(Kind.ENDPOINT, arn)
        return Endpoint.of(resource)

    def _at_rest(self, call: Call) -> Endpoint:
        endpoint = self._find(call)
        if endpoint.status.is_in_progress:
            raise in_progress(endpoint.arn)
        return endpoint

    def _deployment(self, call: Call) -> Deployment:
        """What the request's EndpointConfig and its Model say now."""
        config = self._named(call, Kind.ENDPOINT_CONFIG, call.params["EndpointConfigName"])
        (variant,) = config.members["ProductionVariants"]
        _check_count(variant)
        model = self._named(call, Kind.MODEL, variant["ModelName"])
        container = model.members["PrimaryContainer"]
        return Deployment(
            config_name=config.name,
            requested_time_ms=self._clock.now_ms(),
            variant=Variant(
                name=variant["VariantName"],
                model_name=model.name,
                image=container["Image"],
                model_data_url=container.get("ModelDataUrl"),
                environment=container.get("Environment", {}),
                weight=variant["InitialVariantWeight"],
                instance_count=variant.get("InitialInstanceCount", 1),
                serverless=variant.get("ServerlessConfig"),
                startup_timeout_s=variant.get("ContainerStartupHealthCheckTimeoutInSeconds"),
            ),
        )

    def _named(self, call: Call, kind: Kind, name: str) -> Resource:
        arn = _arn(call, kind, name)
        resource = self._store.find(arn)
        if resource is None:
            raise not_found(kind, arn)
        return resource


def _check_count(variant: dict[str, Any]) -> None:
    count = variant.get("InitialInstanceCount", 1)
    if count > MAX_INSTANCES:
        what = f"{variant['InstanceType']} for endpoint usage"
        raise over_limit(what, limit=MAX_INSTANCES, current=0, asked=count)


def _arn(call: Call, kind: Kind, name: str) -> str:
    return arn_of(kind, name, account=call.account, region=call.region)


def _variant_summary(deployment: Deployment, *, is_running: bool) -> dict[str, Any]:
    variant = deployment.variant
    summary: dict[str, Any] = {
        "VariantName": variant.name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        **_deployed_images(deployment),
    }
    if variant.serverless is not None:
        summary["CurrentServerlessConfig"] = variant.serverless
    else:
        summary["CurrentInstanceCount"] = variant.instance_count if is_running else 0
        summary["DesiredInstanceCount"] = variant.instance_count
    return summary


def _pending_summary(pending: Deployment, endpoint: Endpoint) -> dict[str, Any]:
    creating = endpoint.status is EndpointStatus.CREATING
    started = moment(pending.requested_time_ms)
    variant: dict[str, Any] = {
        "VariantName": pending.variant.name,
        "DesiredWeight": pending.variant.weight,
        "VariantStatus": [{"Status": "Creating" if creating else "Updating", "StartTime": started}],
        **_deployed_images(pending),
    }
    if pending.variant.serverless is not None:
        variant["DesiredServerlessConfig"] = pending.variant.serverless
    else:
        variant["DesiredInstanceCount"] = pending.variant.instance_count
    return {
        "EndpointConfigName": pending.config_name,
        "ProductionVariants": [variant],
        "StartTime": started,
    }


def _deployed_images(deployment: Deployment) -> dict[str, Any]:
    if deployment.resolved_image is None or deployment.resolution_time_ms is None:
        return {}
    image = {
        "SpecifiedImage": deployment.variant.image,
        "ResolvedImage": deployment.resolved_image,
        "ResolutionTime": moment(deployment.resolution_time_ms),
    }
    return {"DeployedImages": [image]}
