"""The composition root: a data folder becomes a running local SageMaker, and is left in order.

    hold the folder ─▶ keys ─▶ port ─▶ parts ─▶ gateway answers ─▶ running.json
    SIGTERM, SIGINT ─▶ gateway stops ─▶ instances, object store, IAM, store stop

Everything is made here and handed to who needs it. The object store takes about a
second to start and is not waited for.
"""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn

from portside import __version__
from portside.contract import INVOCATION_TIMEOUT_S, REALTIME_PAYLOAD_BYTES
from portside.engine.finder import find_engine
from portside.engine.runner import SystemRunner
from portside.errors import PortsideError
from portside.local import DEFAULT_IDLE_TIMEOUT_S, DEFAULT_PORT, data_folder, listener, services
from portside.local.capacity.capacity import Capacity
from portside.local.capacity.fleet import Fleet
from portside.local.capacity.serverless import ServerlessCapacity
from portside.local.capacity.starter import FleetSpec, Starter
from portside.local.clock import Clock, SystemClock
from portside.local.data_folder import OWN_STORE, DataFolder, Keys, Running
from portside.local.delegated.delegated import Delegated
from portside.local.delegated.role_check import AnyRole, Permissions, RoleCheck, Roles
from portside.local.ecr.login import USER
from portside.local.ecr.model_image import HeldImages
from portside.local.ecr.registry import EcrRegistry
from portside.local.endpoint.autoscaling import Autoscaler
from portside.local.endpoint.census import take_census
from portside.local.endpoint.controller import Controller
from portside.local.endpoint.provision import Provisioner
from portside.local.endpoint.scaled_capacity import EndpointCapacities
from portside.local.gateway import Gateway, Parts
from portside.local.instance import leftover, output
from portside.local.instance.container import ContainerLauncher
from portside.local.instance.image.image_pull import ImagePulls, Registry
from portside.local.instance.image.pushed_image import PushedImages
from portside.local.instance.image.root_probe import RootProbe
from portside.local.instance.instance import Launcher, Pinger
from portside.local.instance.instance_client import InstanceClient
from portside.local.instance.launcher import KINDS, ChosenLauncher, EngineChoice
from portside.local.instance.memory_cgroup import MemoryCgroups
from portside.local.instance.process import ProcessLauncher
from portside.local.invocation.data_capture import DataCapture
from portside.local.invocation.invocation import STRICT_PAYLOAD_BYTES, Limits
from portside.local.log.log_store import LogStore
from portside.local.metric.metric_recorder import FreshCloudWatch, MetricRecorder
from portside.local.metric.utilization import UtilizationMeter
from portside.local.s3 import seaweedfs
from portside.local.s3.artifact_cache import ArtifactCache
from portside.local.s3.existing_store import ExistingStore
from portside.local.s3.objects import ObjectStore
from portside.local.s3.seaweedfs_process import SeaweedProcess
from portside.local.state.store import Store

DEFAULT_ACCOUNT: Final = "000000000000"
DEFAULT_REGION: Final = "us-east-1"

_DRAIN_S: Final = 5
"""How long requests in flight have at the end, before they are cut off."""
_LOG_BYTES: Final = 10 * 1024 * 1024
_BACKLOG: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user may choose; port 0 takes a free one."""

    data: Path
    host: str = listener.LOOPBACK
    allow_remote: bool = False
    port: int = DEFAULT_PORT
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    engine: EngineChoice = EngineChoice.AUTO
    iam: bool = True
    """Whether it is looked at what execution roles may do."""
    idle_timeout_s: float = DEFAULT_IDLE_TIMEOUT_S
    """After so long a serverless instance that nobody calls is stopped."""
    keys: Keys | None = None
    """The user's own, in place of those that are drawn for the folder."""
    invocation_timeout_s: float = INVOCATION_TIMEOUT_S
    """In which an instance has to answer."""
    pace: float = 1.0
    """How many times faster than on AWS the waits of updates and of auto scaling go by."""
    strict_payload: bool = False
    """Whether a real-time body may have only the 6 MB of the API Reference."""
    s3: ExistingStore | None = None
    """Keeps the objects; without it a SeaweedFS in the folder does."""


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; raises PortsideError where it cannot start."""
    listener.require_permission(
        options.host, allow_remote=options.allow_remote, has_own_keys=options.keys is not None
    )
    with data_folder.hold(options.data) as folder:
        _log_to(folder.gateway_log)
        keys = data_folder.keep_keys(folder, options.keys)
        with listener.listen(options.host, options.port) as bound:
            loop_factory = uvicorn.Config(app="", log_config=None).get_loop_factory()
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(_serve(options, folder, keys, bound))


async def _serve(options: Options, folder: DataFolder, keys: Keys, bound: socket.socket) -> None:
    clock = SystemClock()
    running = _running(options, port=bound.getsockname()[1])
    platform = Platform(folder, keys=keys, options=options, clock=clock, url=running.url)
    gateway = Gateway(
        platform=platform,
        keys=keys,
        account=options.account,
        region=options.region,
        clock=clock,
        loopback_only=listener.is_loopback(options.host),
    )
    server = _Server(gateway, on_started=lambda: data_folder.announce(folder, running))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    try:
        await platform.start()
        await server.serve(sockets=[bound])
    finally:
        await platform.stop()
        data_folder.withdraw(folder)


class Platform:
    """The parts behind the gateway, put up, cleared away, put up again."""

    def __init__(
        self, folder: DataFolder, *, keys: Keys, options: Options, clock: Clock, url: str
    ) -> None:
        self._folder = folder
        self._address = urlsplit(url).netloc
        self._keys = keys
        self._options = options
        self._clock = clock
        self._running: _RunningParts | None = None
        self._changing = asyncio.Lock()

    @property
    def parts(self) -> Parts | None:
        """The parts; None before `start`, while emptying and after `stop`."""
        return None if self._running is None else self._running.parts

    async def start(self) -> None:
        """Put the parts up from what the folder holds."""
        self._running = self._build()
        await self._running.start()

    async def stop(self) -> None:
        """Stop the parts; what they keep stays in the folder."""
        running, self._running = self._running, None
        if running is not None:
            await running.stop()

    async def reset(self) -> None:
        """Stop the parts, remove what they kept, put them up again."""
        async with self._changing:
            await self.stop()
            self._folder.clear()
            await self.start()

    def health(self) -> dict[str, Any]:
        """What is running and how it fares; anybody may ask, so no more than that."""
        running = self._running
        return {
            "status": "emptying" if running is None else "running",
            "version": __version__,
            "services": {} if running is None else running.services(),
        }

    def endpoints(self) -> list[dict[str, Any]]:
        """What runs of every endpoint, and how many invocations it had."""
        running = self._running
        return [] if running is None else take_census(running.store, running.controller)

    def _build(self) -> _RunningParts:
        store = Store.open(self._folder.store_file)
        logs = LogStore(self._folder.logs)
        client = InstanceClient()
        source = self._options.s3 or SeaweedProcess(
            self._folder.objects,
            program=seaweedfs.find_program(),
            keys=self._keys,
            clock=self._clock,
        )
        objects = ObjectStore(source, region=self._options.region, clock=self._clock)
        registry = EcrRegistry.open(
            self._folder.images,
            keys=self._keys,
            account=self._options.account,
            region=self._options.region,
            address=self._address,
            clock=self._clock,
        )
        images = PushedImages(self._folder.trees, store=registry.images)
        launcher = _launcher(
            self._options.engine,
            folder=self._folder,
            logs=logs,
            clock=self._clock,
            images=images,
            registry=Registry(address=self._address, user=USER, password=registry.password),
        )
        delegated = Delegated(
            self._folder.journal_file,
            account=self._options.account,
            region=self._options.region,
            clock=self._clock,
        )
        permissions = _permissions(self._options, roles=delegated)
        artifacts = ArtifactCache(self._folder.models, objects=objects)
        controller = Controller(
            store=store,
            launcher=launcher,
            provisioner=Provisioner(
                images=launcher,
                artifacts=artifacts,
                new_capacity=partial(
                    _capacity,
                    launcher=launcher,
                    pinger=client,
                    clock=self._clock,
                    idle_timeout_s=self._options.idle_timeout_s,
                ),
                clock=self._clock,
                permissions=permissions,
            ),
            artifacts=artifacts,
            alarms=delegated,
            images=images,
            clock=self._clock,
            pace=self._options.pace,
        )
        recorder = MetricRecorder(delegated, clock=self._clock, pace=self._options.pace)
        capture = DataCapture(objects, clock=self._clock)
        operations = services.operations(
            store=store,
            controller=controller,
            objects=objects,
            logs=logs,
            client=client,
            clock=self._clock,
            permissions=permissions,
            images=HeldImages(registry.images, holders=launcher),
            recorder=recorder,
            capture=capture,
            limits=_limits(self._options),
        ) | {"ecr": registry.operations}
        meter = UtilizationMeter(
            store,
            switch=controller,
            sink=delegated,
            disk=self._folder.path,
            clock=self._clock,
            pace=self._options.pace,
        )
        autoscaler = Autoscaler(
            delegated,
            capacities=EndpointCapacities(
                store,
                update=operations["sagemaker"]["UpdateEndpointWeightsAndCapacities"],
                account=self._options.account,
                region=self._options.region,
            ),
            flush=recorder.flush,
            clock=self._clock,
            pace=self._options.pace,
        )
        parts = Parts(
            objects=objects,
            delegated=FreshCloudWatch(delegated, recorder=recorder),
            registry=registry.distribution,
            operations=operations,
        )
        return _RunningParts(
            parts=parts,
            store=store,
            registry=registry,
            client=client,
            launcher=launcher,
            objects=objects,
            controller=controller,
            delegated=delegated,
            recorder=recorder,
            capture=capture,
            autoscaler=autoscaler,
            meter=meter,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunningParts:
    parts: Parts
    store: Store
    registry: EcrRegistry
    client: InstanceClient
    launcher: ChosenLauncher
    objects: ObjectStore
    controller: Controller
    delegated: Delegated
    recorder: MetricRecorder
    capture: DataCapture
    autoscaler: Autoscaler
    meter: UtilizationMeter

    async def start(self) -> None:
        await self.launcher.check()
        await self.objects.start()
        await self.controller.start()
        self.recorder.start()
        self.autoscaler.start()
        self.meter.start()

    async def stop(self) -> None:
        await asyncio.gather(self.autoscaler.stop(), self.meter.stop())
        await asyncio.gather(self.controller.stop(), self.recorder.stop(), self.capture.stop())
        await asyncio.gather(self.objects.stop(), self.delegated.stop())
        await self.client.close()
        self.registry.close()
        self.store.close()

    def services(self) -> dict[str, str]:
        return {
            "s3": self.objects.state,
            **self.delegated.states(),
            **dict.fromkeys(self.parts.operations, "ready"),
        }


def _permissions(options: Options, *, roles: Roles) -> Permissions:
    """Who says what execution roles may do."""
    return RoleCheck(roles, region=options.region) if options.iam else AnyRole()


def _limits(options: Options) -> Limits:
    realtime = STRICT_PAYLOAD_BYTES if options.strict_payload else REALTIME_PAYLOAD_BYTES
    return Limits(timeout_s=options.invocation_timeout_s, realtime_payload_bytes=realtime)


def _launcher(
    choice: EngineChoice,
    *,
    folder: DataFolder,
    logs: LogStore,
    clock: Clock,
    images: PushedImages,
    registry: Registry,
) -> ChosenLauncher:
    """What starts instances; the programs of the engines get the environment that we have."""
    containers = ContainerLauncher(
        folder=folder.containers,
        kinds=KINDS[choice],
        find=partial(find_engine, runner=SystemRunner(os.environ)),
        logs=logs,
        clock=clock,
        pulls=ImagePulls(folder.containers / ".pulls", images=images, registry=registry),
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


class _Server(uvicorn.Server):
    """uvicorn, with our own say on signals and a word when it has begun to answer."""

    def __init__(self, app: Gateway, *, on_started: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_DRAIN_S,
        )
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them: they are caught from before the start, and not raised again at the end."""
        yield


def _running(options: Options, *, port: int) -> Running:
    return Running(
        pid=os.getpid(),
        process_start_time=leftover.start_time(os.getpid()) or "",
        url=listener.address(options.host, port),
        host=options.host,
        port=port,
        s3=options.s3.address if options.s3 else OWN_STORE,
        account=options.account,
        region=options.region,
        engine=options.engine,
        iam="on" if options.iam else "off",
        idle_timeout_s=options.idle_timeout_s,
        invocation_timeout_s=options.invocation_timeout_s,
        pace=options.pace,
        strict_payload=options.strict_payload,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _log_to(file: Path) -> None:
    try:
        handler = logging.handlers.RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=2)
    except OSError as error:
        raise PortsideError(
            f"could not open the log `{file}`: {error.strerror}",
            hint="mend it, or name another folder with `--data DIR`",
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("botocore", "uvicorn.error", "werkzeug"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
