"""What SageMaker, its runtime and CloudWatch Logs do, one file per kind of resource.

A service gets checked input by AWS's member names and answers output members
or raises a `Fault`; it never sees HTTP. Services do not know each other: what
several need stands one level up (`named_resource`, `listing`, `refusal`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.local.services.endpoint import EndpointService
from portside.local.services.endpoint_config import EndpointConfigService
from portside.local.services.log import LogService
from portside.local.services.model import ModelService
from portside.local.services.runtime import DEFAULT_LIMITS, RuntimeService
from portside.local.services.tag import TagService

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.delegated.role_check import Permissions
    from portside.local.ecr.model_image import Images
    from portside.local.endpoint.controller import Controller
    from portside.local.instance.instance_client import InstanceClient
    from portside.local.invocation.invocation import Limits
    from portside.local.log.log_store import LogStore
    from portside.local.protocol.call import Handler
    from portside.local.s3.artifact_cache import Objects
    from portside.local.services.runtime import Capture, Recorder
    from portside.local.state.store import Store


def operations(
    *,
    store: Store,
    controller: Controller,
    objects: Objects,
    logs: LogStore,
    client: InstanceClient,
    clock: Clock,
    permissions: Permissions | None = None,
    images: Images | None = None,
    recorder: Recorder,
    capture: Capture,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, dict[str, Handler]]:
    """Every operation that is built, by botocore's names of service and operation."""
    model = ModelService(
        store, objects=objects, clock=clock, permissions=permissions, images=images
    )
    config = EndpointConfigService(store, clock=clock)
    endpoint = EndpointService(store, controller=controller, clock=clock)
    tag = TagService(store)
    runtime = RuntimeService(
        store,
        switch=controller,
        client=client,
        recorder=recorder,
        capture=capture,
        clock=clock,
        limits=limits,
    )
    log = LogService(logs)
    return {
        "sagemaker": {
            "CreateModel": model.create,
            "DescribeModel": model.describe,
            "ListModels": model.list_page,
            "DeleteModel": model.delete,
            "CreateEndpointConfig": config.create,
            "DescribeEndpointConfig": config.describe,
            "ListEndpointConfigs": config.list_page,
            "DeleteEndpointConfig": config.delete,
            "CreateEndpoint": endpoint.create,
            "DescribeEndpoint": endpoint.describe,
            "ListEndpoints": endpoint.list_page,
            "UpdateEndpoint": endpoint.update,
            "UpdateEndpointWeightsAndCapacities": endpoint.update_weights_and_capacities,
            "DeleteEndpoint": endpoint.delete,
            "AddTags": tag.add,
            "ListTags": tag.list_page,
            "DeleteTags": tag.delete,
        },
        "sagemaker-runtime": {
            "InvokeEndpoint": runtime.invoke,
            "InvokeEndpointWithResponseStream": runtime.invoke_stream,
        },
        "logs": {
            "DescribeLogGroups": log.describe_groups,
            "DescribeLogStreams": log.describe_streams,
            "GetLogEvents": log.get_events,
            "FilterLogEvents": log.filter_events,
        },
    }
