"""Everything that stands behind the gateway, made and handed to who needs it.

    folder, keys, options ─▶ store, objects, registry, delegated    what is kept
                               └─▶ launcher ─▶ controller            what runs
                                     ├─▶ operations ─▶ Parts         who answers
                                     └─▶ recorder, meter, autoscaler who looks on

Nothing is started here: that is for who owns the parts (`platform`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from portside.contract import REALTIME_PAYLOAD_BYTES
from portside.engine.finder import find_engine
from portside.engine.runner import SystemRunner
from portside.local import services
from portside.local.capacity.capacity import Capacity
from portside.local.capacity.fleet import Fleet
from portside.local.capacity.serverless import ServerlessCapacity
from portside.local.capacity.starter import FleetSpec, Starter
from portside.local.clock import Clock
from portside.local.data_folder import DataFolder, Keys
from portside.local.delegated.delegated import Delegated
from portside.local.delegated.role_check import AnyRole, Permissions, RoleCheck, Roles
from portside.local.ecr.login import USER
from portside.local.ecr.model_image import HeldImages
from portside.local.ecr.registry import EcrRegistry
from portside.local.endpoint.controller import Controller
from portside.local.endpoint.provision import Provisioner
from portside.local.instance import output
from portside.local.instance.container import ContainerLauncher
from portside.local.instance.image.image_pull import ImagePulls, Registry
from portside.local.instance.image.pushed_image import PushedImages
from portside.local.instance.image.root_probe import RootProbe
from portside.local.instance.instance import Launcher, Pinger
from portside.local.instance.instance_client import InstanceClient
from portside.local.instance.launcher import KINDS, ChosenLauncher
from portside.local.instance.memory_cgroup import MemoryCgroups
from portside.local.instance.process import ProcessLauncher
from portside.local.invocation.data_capture import DataCapture
from portside.local.invocation.invocation import STRICT_PAYLOAD_BYTES, Limits
from portside.local.log.log_store import LogStore
from portside.local.metric.metric_recorder import FreshCloudWatch, MetricRecorder
from portside.local.metric.utilization import UtilizationMeter
from portside.local.option import Options
from portside.local.part import Parts
from portside.local.platform import RunningParts
from portside.local.protocol.call import Handler
from portside.local.s3 import seaweedfs
from portside.local.s3.artifact_cache import ArtifactCache
from portside.local.s3.objects import ObjectStore
from portside.local.s3.seaweedfs_process import SeaweedProcess
from portside.local.scaling.autoscaling import Autoscaler
from portside.local.scaling.scaled_capacity import EndpointCapacities
from portside.local.state.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What everything is made from; `address` is the gateway's host and port."""

    folder: DataFolder
    keys: Keys
    options: Options
    clock: Clock
    address: str


def assemble(ground: Ground) -> RunningParts:
    """Make all parts; none is started yet. Raises PortsideError."""
    options, clock = ground.options, ground.clock
    store = Store.open(ground.folder.store_file)
    logs = LogStore(ground.folder.logs)
    client = InstanceClient()
    objects = _objects(ground)
    registry = _registry(ground)
    delegated = _delegated(ground)
    permissions = _permissions(options, roles=delegated)
    images = PushedImages(ground.folder.trees, store=registry.images)
    launcher = _launcher(ground, logs=logs, images=images, registry=registry)
    controller = _controller(
        ground,
        store=store,
        launcher=launcher,
        client=client,
        artifacts=ArtifactCache(ground.folder.models, objects=objects),
        alarms=delegated,
        images=images,
        permissions=permissions,
    )
    recorder = MetricRecorder(delegated, clock=clock, pace=options.pace)
    capture = DataCapture(objects, clock=clock)
    operations = services.operations(
        store=store,
        controller=controller,
        objects=objects,
        logs=logs,
        client=client,
        clock=clock,
        permissions=permissions,
        images=HeldImages(registry.images, holders=launcher),
        recorder=recorder,
        capture=capture,
        limits=_limits(options),
    ) | {"ecr": registry.operations}
    return RunningParts(
        parts=Parts(
            objects=objects,
            delegated=FreshCloudWatch(delegated, recorder=recorder),
            registry=registry.distribution,
            operations=operations,
        ),
        store=store,
        registry=registry,
        client=client,
        launcher=launcher,
        objects=objects,
        controller=controller,
        delegated=delegated,
        recorder=recorder,
        capture=capture,
        autoscaler=_autoscaler(
            ground,
            delegated=delegated,
            store=store,
            recorder=recorder,
            operations=operations["sagemaker"],
        ),
        meter=UtilizationMeter(
            store,
            switch=controller,
            sink=delegated,
            disk=ground.folder.path,
            clock=clock,
            pace=options.pace,
        ),
    )


# --- What is kept ------------------------------------------------------------


def _objects(ground: Ground) -> ObjectStore:
    source = ground.options.s3 or SeaweedProcess(
        ground.folder.objects,
        program=seaweedfs.find_program(),
        keys=ground.keys,
        clock=ground.clock,
    )
    return ObjectStore(source, region=ground.options.region, clock=ground.clock)


def _registry(ground: Ground) -> EcrRegistry:
    return EcrRegistry.open(
        ground.folder.images,
        keys=ground.keys,
        account=ground.options.account,
        region=ground.options.region,
        address=ground.address,
        clock=ground.clock,
    )


def _delegated(ground: Ground) -> Delegated:
    return Delegated(
        ground.folder.journal_file,
        account=ground.options.account,
        region=ground.options.region,
        clock=ground.clock,
    )


def _permissions(options: Options, *, roles: Roles) -> Permissions:
    """Who says what execution roles may do."""
    return RoleCheck(roles, region=options.region) if options.iam else AnyRole()


def _limits(options: Options) -> Limits:
    realtime = STRICT_PAYLOAD_BYTES if options.strict_payload else REALTIME_PAYLOAD_BYTES
    return Limits(timeout_s=options.invocation_timeout_s, realtime_payload_bytes=realtime)


# --- What runs ---------------------------------------------------------------


def _launcher(
    ground: Ground, *, logs: LogStore, images: PushedImages, registry: EcrRegistry
) -> ChosenLauncher:
    """What starts instances; the programs of the engines get the environment that we have."""
    folder, choice, clock = ground.folder, ground.options.engine, ground.clock
    pulled = Registry(address=ground.address, user=USER, password=registry.password)
    containers = ContainerLauncher(
        folder=folder.containers,
        kinds=KINDS[choice],
        find=partial(find_engine, runner=SystemRunner(os.environ)),
        logs=logs,
        clock=clock,
        pulls=ImagePulls(folder.containers / ".pulls", images=images, registry=pulled),
    )
    processes = ProcessLauncher(
        folder=folder.instances,
        logs=logs,
        clock=clock,
        memory_cgroups=MemoryCgroups.find(),
        images=images,
    )
    return ChosenLauncher(
        choice,
        processes=processes,
        containers=containers,
        images=images,
        probe=RootProbe(),
        keeper=partial(output.keeper, logs=logs, clock=clock),
    )


def _controller(
    ground: Ground,
    *,
    store: Store,
    launcher: ChosenLauncher,
    client: InstanceClient,
    artifacts: ArtifactCache,
    alarms: Delegated,
    images: PushedImages,
    permissions: Permissions,
) -> Controller:
    new_capacity = partial(
        _capacity,
        launcher=launcher,
        pinger=client,
        clock=ground.clock,
        idle_timeout_s=ground.options.idle_timeout_s,
    )
    return Controller(
        store=store,
        launcher=launcher,
        provisioner=Provisioner(
            images=launcher,
            artifacts=artifacts,
            new_capacity=new_capacity,
            clock=ground.clock,
            permissions=permissions,
        ),
        artifacts=artifacts,
        alarms=alarms,
        images=images,
        clock=ground.clock,
        pace=ground.options.pace,
    )


def _capacity(
    spec: FleetSpec,
    *,
    launcher: Launcher,
    pinger: Pinger,
    clock: Clock,
    idle_timeout_s: float,
) -> Capacity:
    """What serves a variant."""
    new_starter = partial(Starter, launcher=launcher, pinger=pinger, clock=clock)
    if spec.variant.serverless is None:
        return Fleet(new_starter(spec), clock=clock)
    return ServerlessCapacity(
        spec, new_starter=new_starter, clock=clock, idle_timeout_s=idle_timeout_s
    )


def _autoscaler(
    ground: Ground,
    *,
    delegated: Delegated,
    store: Store,
    recorder: MetricRecorder,
    operations: Mapping[str, Handler],
) -> Autoscaler:
    capacities = EndpointCapacities(
        store,
        update=operations["UpdateEndpointWeightsAndCapacities"],
        account=ground.options.account,
        region=ground.options.region,
    )
    return Autoscaler(
        delegated,
        capacities=capacities,
        flush=recorder.flush,
        clock=ground.clock,
        pace=ground.options.pace,
    )
