"""Endpoints: what is wanted of them is written here, and the controller makes it so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside.local.clock import moment
from portside.local.endpoint.rescale import rescale, retain
from portside.local.endpoint.shift import check_deployment_config
from portside.local.listing import list_resources
from portside.local.refusal import (
    already_exists,
    failed,
    in_progress,
    invalid,
    not_found,
    over_limit,
)
from portside.local.state.deployment import Deployment, Endpoint, Variant
from portside.local.state.endpoint_state import EndpointEvent, EndpointStatus
from portside.local.state.resource import Kind, Resource, arn_of

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.protocol.call import Call
    from portside.local.state.store import Store

MAX_INSTANCES: Final = 20
"""Of one endpoint, and ours: each is a process of this machine with the model in memory."""


class Reconciler(Protocol):
    """Who acts on what is written."""

    def reconcile(self, arn: str) -> None:
        """Look at an endpoint, because what is wanted of it has changed."""
        ...


class EndpointService:
    """The operations on endpoints."""

    def __init__(self, store: Store, *, controller: Reconciler, clock: Clock) -> None:
        self._store = store
        self._controller = controller
        self._clock = clock

    async def create(self, call: Call) -> dict[str, Any]:
        """Keep a new endpoint, in Creating."""
        params = call.params
        arn = _arn(call, Kind.ENDPOINT, params["EndpointName"])
        if self._store.find(arn) is not None:
            raise already_exists(Kind.ENDPOINT, arn)
        now_ms, pending = self._clock.now_ms(), self._deployment(call)
        endpoint = Endpoint(
            account=call.account,
            region=call.region,
            name=params["EndpointName"],
            status=EndpointStatus.CREATING,
            creation_time_ms=now_ms,
            last_modified_time_ms=now_ms,
            pending=pending,
            deployment_config=_new_deployment_config(call, pending),
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
            output["ProductionVariants"] = _variant_summaries(shown, endpoint)
            if shown.data_capture is not None:
                output["DataCaptureConfig"] = _data_capture_summary(shown.data_capture)
        is_new = not (has_failed or endpoint.is_scaling)  # BC: of a new config, or the first
        if endpoint.pending is not None and is_new:
            output["PendingDeploymentSummary"] = _pending_summary(endpoint.pending, endpoint)
        if endpoint.deployment_config is not None:
            output["LastDeploymentConfig"] = endpoint.deployment_config
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
        endpoint = self._at_rest(call)
        if endpoint.status is EndpointStatus.FAILED:
            raise failed(endpoint.arn)
        pending = retain(call.params, self._deployment(call), of=endpoint.deployment)
        if (
            endpoint.deployment is not None
            and not endpoint.deployment.is_serverless
            and pending.is_serverless
        ):
            raise invalid(
                f'Cannot update endpoint "{endpoint.arn}" from instances to serverless.'
                " Only the other way is supported."
            )
        deployment_config = _deployment_config(call, pending, last=endpoint.deployment_config)
        self._begin_update(endpoint, pending, deployment_config=deployment_config)
        return {"EndpointArn": endpoint.arn}

    async def update_weights_and_capacities(self, call: Call) -> dict[str, Any]:
        """Give variants of an endpoint that serves other weights and capacities."""
        endpoint = self._at_rest(call)
        if endpoint.deployment is None:
            raise failed(endpoint.arn)
        pending = rescale(endpoint.deployment, call.params["DesiredWeightsAndCapacities"])
        _check_counts(pending)
        self._begin_update(
            endpoint, pending, deployment_config=endpoint.deployment_config, is_scaling=True
        )
        return {"EndpointArn": endpoint.arn}

    def _begin_update(
        self,
        endpoint: Endpoint,
        pending: Deployment,
        *,
        deployment_config: dict[str, Any] | None,
        is_scaling: bool = False,
    ) -> None:
        updating = replace(
            endpoint.moved(EndpointEvent.UPDATE, at_ms=self._clock.now_ms()),
            pending=replace(pending, requested_time_ms=self._clock.now_ms()),
            is_scaling=is_scaling,
            stage="Updating",
            deployment_config=deployment_config,
            failure_reason=None,
        )
        self._store.save(updating.resource())
        self._controller.reconcile(endpoint.arn)

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
        """What the request's EndpointConfig and its Models say now."""
        config = self._named(call, Kind.ENDPOINT_CONFIG, call.params["EndpointConfigName"])
        deployment = Deployment(
            config_name=config.name,
            requested_time_ms=self._clock.now_ms(),
            variants=tuple(
                _variant(variant, self._named(call, Kind.MODEL, variant["ModelName"]))
                for variant in config.members["ProductionVariants"]
            ),
            data_capture=config.members.get("DataCaptureConfig"),
        )
        _check_counts(deployment)
        return deployment

    def _named(self, call: Call, kind: Kind, name: str) -> Resource:
        arn = _arn(call, kind, name)
        resource = self._store.find(arn)
        if resource is None:
            raise not_found(kind, arn)
        return resource


def _variant(variant: dict[str, Any], model: Resource) -> Variant:
    container = model.members["PrimaryContainer"]
    return Variant(
        name=variant["VariantName"],
        model_name=model.name,
        image=container["Image"],
        model_data_url=container.get("ModelDataUrl"),
        role_arn=model.members.get("ExecutionRoleArn"),
        environment=container.get("Environment", {}),
        weight=variant["InitialVariantWeight"],
        instance_count=variant.get("InitialInstanceCount", 1),
        instance_type=variant.get("InstanceType"),
        serverless=variant.get("ServerlessConfig"),
        startup_timeout_s=variant.get("ContainerStartupHealthCheckTimeoutInSeconds"),
        routing=variant.get("RoutingConfig", {}).get("RoutingStrategy"),
    )


def _deployment_config(
    call: Call, pending: Deployment, *, last: dict[str, Any] | None
) -> dict[str, Any] | None:
    """BC UpdateEndpointInput: a new one, or with RetainDeploymentConfig the last, or none."""
    new = _new_deployment_config(call, pending)
    if new is not None:
        return new
    return last if call.params.get("RetainDeploymentConfig") else None


def _new_deployment_config(call: Call, pending: Deployment) -> dict[str, Any] | None:
    """The request's own, checked."""
    new: dict[str, Any] | None = call.params.get("DeploymentConfig")
    if new is None:
        return None
    if pending.is_serverless:  # DG serverless-endpoints excludes deployment guardrails; our words
        raise invalid("A serverless endpoint cannot have a DeploymentConfig.")
    check_deployment_config(new)
    return new


def _check_counts(deployment: Deployment) -> None:
    for variant in deployment.variants:
        if variant.instance_count > MAX_INSTANCES:
            what = f"{variant.instance_type} for endpoint usage"
            asked = variant.instance_count
            raise over_limit(what, limit=MAX_INSTANCES, current=0, asked=asked)


def _arn(call: Call, kind: Kind, name: str) -> str:
    return arn_of(kind, name, account=call.account, region=call.region)


def _variant_summaries(deployment: Deployment, endpoint: Endpoint) -> list[dict[str, Any]]:
    has_failed = endpoint.status is EndpointStatus.FAILED
    desired = endpoint.pending if endpoint.is_scaling and endpoint.pending else deployment
    status = _variant_status(endpoint, desired) if endpoint.is_scaling else {}
    return [
        _variant_summary(
            variant, desired=desired.variant(variant.name) or variant, is_running=not has_failed
        )
        | status
        for variant in deployment.variants
    ]


def _variant_summary(variant: Variant, *, desired: Variant, is_running: bool) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "VariantName": variant.name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": desired.weight,
        **_deployed_images(variant),
    }
    if variant.serverless is not None:
        summary["CurrentServerlessConfig"] = variant.serverless
        if desired.serverless != variant.serverless:
            summary["DesiredServerlessConfig"] = desired.serverless
    else:
        summary["CurrentInstanceCount"] = variant.instance_count if is_running else 0
        summary["DesiredInstanceCount"] = desired.instance_count
    if variant.routing is not None:
        summary["RoutingConfig"] = {"RoutingStrategy": variant.routing}
    return summary


def _variant_status(endpoint: Endpoint, pending: Deployment) -> dict[str, Any]:
    creating = endpoint.status is EndpointStatus.CREATING
    stage = endpoint.stage or ("Creating" if creating else "Updating")
    started = moment(pending.requested_time_ms)
    return {"VariantStatus": [{"Status": stage, "StartTime": started}]}


def _pending_summary(pending: Deployment, endpoint: Endpoint) -> dict[str, Any]:
    return {
        "EndpointConfigName": pending.config_name,
        "ProductionVariants": [
            {
                "VariantName": variant.name,
                "DesiredWeight": variant.weight,
                **_variant_status(endpoint, pending),
                **_deployed_images(variant),
                **(
                    {"DesiredServerlessConfig": variant.serverless}
                    if variant.serverless is not None
                    else {"DesiredInstanceCount": variant.instance_count}
                ),
            }
            for variant in pending.variants
        ],
        "StartTime": moment(pending.requested_time_ms),
    }


def _data_capture_summary(config: dict[str, Any]) -> dict[str, Any]:
    is_on = config.get("EnableCapture", True)  # BC: on unless told otherwise
    return {
        "EnableCapture": is_on,
        "CaptureStatus": "Started" if is_on else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }


def _deployed_images(variant: Variant) -> dict[str, Any]:
    if variant.resolved_image is None or variant.resolution_time_ms is None:
        return {}
    image = {
        "SpecifiedImage": variant.image,
        "ResolvedImage": variant.resolved_image,
        "ResolutionTime": moment(variant.resolution_time_ms),
    }
    return {"DeployedImages": [image]}
