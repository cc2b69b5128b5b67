"""Endpoints: what is wanted of them is written here, and the controller makes it so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside.local.clock import moment
from portside.local.endpoint.description import described
from portside.local.endpoint.rescale import rescale, retain
from portside.local.endpoint.shift import check_deployment_config
from portside.local.listing import list_resources
from portside.local.named_resource import find_named, named_arn
from portside.local.refusal import already_exists, failed, in_progress, invalid, over_limit
from portside.local.state.deployment import Deployment, Endpoint, Variant
from portside.local.state.endpoint_state import EndpointEvent, EndpointStatus
from portside.local.state.resource import Kind
from portside.local.tag_list import read_tags

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.protocol.call import Call
    from portside.local.state.resource import Resource
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
        arn = named_arn(call, Kind.ENDPOINT, name=params["EndpointName"])
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
        self._store.add(endpoint.resource(), tags=read_tags(params.get("Tags", [])))
        self._controller.reconcile(arn)
        return {"EndpointArn": arn}

    async def describe(self, call: Call) -> dict[str, Any]:
        """Tell where an endpoint stands."""
        return described(self._find(call))

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
        name = call.params["EndpointName"]
        return Endpoint.of(find_named(self._store, call, kind=Kind.ENDPOINT, name=name))

    def _at_rest(self, call: Call) -> Endpoint:
        endpoint = self._find(call)
        if endpoint.status.is_in_progress:
            raise in_progress(endpoint.arn)
        return endpoint

    def _deployment(self, call: Call) -> Deployment:
        """What the request's EndpointConfig and its Models say now."""
        name = call.params["EndpointConfigName"]
        config = find_named(self._store, call, kind=Kind.ENDPOINT_CONFIG, name=name)
        deployment = Deployment(
            config_name=config.name,
            requested_time_ms=self._clock.now_ms(),
            variants=tuple(
                _variant(
                    variant,
                    find_named(self._store, call, kind=Kind.MODEL, name=variant["ModelName"]),
                )
                for variant in config.members["ProductionVariants"]
            ),
            data_capture=config.members.get("DataCaptureConfig"),
        )
        _check_counts(deployment)
        return deployment


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
