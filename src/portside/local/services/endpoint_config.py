"""EndpointConfigs: which Model runs on what, under a name that never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from portside.contract import SERVERLESS_MEMORY_MB
from portside.local.clock import moment
from portside.local.endpoint.rescale import check_weights
from portside.local.listing import list_resources
from portside.local.named_resource import find_named, new_named
from portside.local.refusal import already_exists, invalid, not_built, refuse_unbuilt
from portside.local.state.resource import Kind
from portside.local.tag_list import read_tags

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.protocol.call import Call
    from portside.local.state.resource import Resource
    from portside.local.state.store import Store

_MEMBERS: Final = ("ProductionVariants", "DataCaptureConfig", "KmsKeyId", "ExecutionRoleArn")
"""What CreateEndpointConfig is told and DescribeEndpointConfig tells again."""

_UNBUILT: Final = (
    "AsyncInferenceConfig",
    "CrossRegionTrafficConfig",
    "EnableNetworkIsolation",
    "ExplainerConfig",
    "MetricsConfig",
    "ShadowProductionVariants",
    "VpcConfig",
)

_UNBUILT_VARIANT: Final = (
    "AcceleratorPartitionLayouts",
    "AcceleratorType",
    "CapacityReservationConfig",
    "CoreDumpConfig",
    "InstancePools",
    "ManagedInstanceScaling",
)

_DEFAULT_WEIGHT: Final = 1.0
"""BC ProductionVariant.InitialVariantWeight."""


class EndpointConfigService:
    """CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs, DeleteEndpointConfig."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, call: Call) -> dict[str, Any]:
        """Keep a new EndpointConfig whose Model is there."""
        params = call.params
        config = new_named(
            call,
            Kind.ENDPOINT_CONFIG,
            name=params["EndpointConfigName"],
            members={name: params[name] for name in _MEMBERS if name in params}
            | {"ProductionVariants": _variants(params)},
            now_ms=self._clock.now_ms(),
        )
        if self._store.find(config.arn) is not None:
            raise already_exists(Kind.ENDPOINT_CONFIG, config.arn)
        for variant in config.members["ProductionVariants"]:
            find_named(self._store, call, kind=Kind.MODEL, name=variant["ModelName"])
        self._store.add(config, tags=read_tags(params.get("Tags", [])))
        return {"EndpointConfigArn": config.arn}

    async def describe(self, call: Call) -> dict[str, Any]:
        """Tell of an EndpointConfig what it was made from."""
        config = self._find(call)
        return {
            "EndpointConfigName": config.name,
            "EndpointConfigArn": config.arn,
            "CreationTime": moment(config.creation_time_ms),
            "EnableNetworkIsolation": False,
            **config.members,
        }

    async def list_page(self, call: Call) -> dict[str, Any]:
        """One page of summaries."""
        configs, next_token = list_resources(self._store, call, Kind.ENDPOINT_CONFIG)
        summaries = [
            {
                "EndpointConfigName": config.name,
                "EndpointConfigArn": config.arn,
                "CreationTime": moment(config.creation_time_ms),
            }
            for config in configs
        ]
        return {"EndpointConfigs": summaries, **next_token}

    async def delete(self, call: Call) -> dict[str, Any]:
        """Forget an EndpointConfig; endpoints that run it go on, as on AWS."""
        self._store.remove(self._find(call).arn)
        return {}

    def _find(self, call: Call) -> Resource:
        name = call.params["EndpointConfigName"]
        return find_named(self._store, call, kind=Kind.ENDPOINT_CONFIG, name=name)


def _variants(params: dict[str, Any]) -> list[dict[str, Any]]:
    """The variants of a request, checked, with the defaults written out."""
    refuse_unbuilt(params, _UNBUILT, of="CreateEndpointConfig")
    variants = [_variant(variant) for variant in params["ProductionVariants"]]
    names = [variant["VariantName"] for variant in variants]
    for name in names:
        if names.count(name) > 1:  # our words
            raise invalid(f'The variant name "{name}" was non-unique within the request.')
    is_serverless = any("ServerlessConfig" in variant for variant in variants)
    if is_serverless and len(variants) > 1:  # DG serverless-endpoints, our words
        raise invalid("A serverless endpoint cannot have more than one production variant.")
    if is_serverless and "DataCaptureConfig" in params:  # the same
        raise invalid("Data capture is not supported for serverless endpoints.")
    check_weights(variant["InitialVariantWeight"] for variant in variants)
    return variants


def _variant(variant: dict[str, Any]) -> dict[str, Any]:
    refuse_unbuilt(variant, _UNBUILT_VARIANT, of="a production variant")
    routing = variant.get("RoutingConfig", {}).get("RoutingStrategy")
    if routing in {"PREFIX_AWARE", "KV_AWARE"}:
        raise not_built(f"RoutingStrategy {routing}")
    if "ModelName" not in variant:
        raise not_built("A production variant without a ModelName (inference components)")
    if "ServerlessConfig" in variant:
        _check_serverless(variant)
    elif "InstanceType" not in variant or "InitialInstanceCount" not in variant:
        raise invalid(
            f"Production variant {variant['VariantName']} must have either a ServerlessConfig or"
            " both InstanceType and InitialInstanceCount."
        )
    return {"InitialVariantWeight": _DEFAULT_WEIGHT, **variant}


def _check_serverless(variant: dict[str, Any]) -> None:
    """The rules are BC's (ProductionVariantServerlessConfig), the words ours."""
    serverless = variant["ServerlessConfig"]
    if "InstanceType" in variant or "InitialInstanceCount" in variant:
        raise invalid(
            f"Production variant {variant['VariantName']} must not have a ServerlessConfig together"
            " with InstanceType or InitialInstanceCount."
        )
    if serverless["MemorySizeInMB"] not in SERVERLESS_MEMORY_MB:
        raise invalid(
            f"MemorySizeInMB {serverless['MemorySizeInMB']} is not one of"
            f" {', '.join(map(str, SERVERLESS_MEMORY_MB))}."
        )
    if serverless.get("ProvisionedConcurrency", 0) > serverless["MaxConcurrency"]:
        raise invalid("ProvisionedConcurrency must be at most MaxConcurrency.")
