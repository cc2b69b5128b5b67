"""The composition root: a data folder becomes a running local SageMaker, and is left in order.

    hold the folder ─▶ keys ─▶ port ─▶ parts ─▶ gateway answers ─▶ running.json
    SIGTERM, SIGINT ─▶ gateway stops ─▶ instances, object store, IAM, store stop

Everything is made here and handed to who needs it. The object store takes about a
second to start and is not waited for.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import logging.handlers
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvicorn

from portside import __version__
from portside.errors import PortsideError
from portside.local import DEFAULT_PORT, data_folder, leftover, seaweedfs, services
from portside.local.clock import Clock, SystemClock
from portside.local.controller import Controller
from portside.local.data_folder import DataFolder, Keys, Running
from portside.local.delegated import Delegated
from portside.local.gateway import Gateway, Parts
from portside.local.instance_client import InstanceClient
from portside.local.log_store import LogStore
from portside.local.objects import ObjectStore
from portside.local.process import ProcessLauncher
from portside.local.store import Store

HOST: Final = "127.0.0.1"
"""No other address: models run here with the rights of the user who started it."""
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
    port: int = DEFAULT_PORT
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; raises PortsideError where it cannot start."""
    with data_folder.hold(options.data) as folder:
        _log_to(folder.gateway_log)
        keys = data_folder.keep_keys(folder)
        with _listen(options.port) as listener:
            loop_factory = uvicorn.Config(app="", log_config=None).get_loop_factory()
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(_serve(options, folder, keys, listener))


async def _serve(options: Options, folder: DataFolder, keys: Keys, listener: socket.socket) -> None:
    clock = SystemClock()
    platform = Platform(folder, keys=keys, options=options, clock=clock)
    gateway = Gateway(
        platform=platform,
        keys=keys,
        account=options.account,
        region=options.region,
        clock=clock,
    )
    running = _running(options, port=listener.getsockname()[1])
    server = _Server(gateway, on_started=lambda: data_folder.announce(folder, running))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    try:
        await platform.start()
        await server.serve(sockets=[listener])
    finally:
        await platform.stop()
        data_folder.withdraw(folder)


class Platform:
    """The parts behind the gateway, put up, cleared away, put up again."""

    def __init__(self, folder: DataFolder, *, keys: Keys, options: Options, clock: Clock) -> None:
        self._folder = folder
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

    def _build(self) -> _RunningParts:
        store = Store.open(self._folder.store_file)
        logs = LogStore(self._folder.logs)
        client = InstanceClient()
        objects = ObjectStore(
            self._folder.objects,
            program=seaweedfs.find_program(),
            keys=self._keys,
            region=self._options.region,
            clock=self._clock,
        )
        launcher = ProcessLauncher(folder=self._folder.instances, logs=logs, clock=self._clock)
        controller = Controller(
            store=store,
            launcher=launcher,
            objects=objects,
            pinger=client,
            models_folder=self._folder.models,
            clock=self._clock,
        )
        delegated = Delegated(
            self._folder.journal_file, account=self._options.account, clock=self._clock
        )
        operations = services.operations(
            store=store,
            controller=controller,
            objects=objects,
            logs=logs,
            client=client,
            clock=self._clock,
        )
        parts = Parts(objects=objects, delegated=delegated, operations=operations)
        return _RunningParts(
            parts=parts,
            store=store,
            client=client,
            objects=objects,
            controller=controller,
            delegated=delegated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunningParts:
    parts: Parts
    store: Store
    client: InstanceClient
    objects: ObjectStore
    controller: Controller
    delegated: Delegated

    async def start(self) -> None:
        await self.objects.start()
        await self.controller.start()

    async def stop(self) -> None:
        await asyncio.gather(self.controller.stop(), self.objects.stop(), self.delegated.stop())
        await self.client.close()
        self.store.close()

    def services(self) -> dict[str, str]:
        return {
            "s3": "ready" if self.objects.is_ready else "starting",
            "iam": "ready" if self.delegated.is_loaded else "idle",
            **dict.fromkeys(self.parts.operations, "ready"),
        }


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


@contextmanager
def _listen(port: int) -> Iterator[socket.socket]:
    listener = socket.socket()
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another program uses it" if taken else error.strerror
            other = port + 1 if taken else DEFAULT_PORT
            raise PortsideError(
                f"could not listen on port `{port}`: {reason}",
                hint=f"choose another with `portside local start --port {other}`",
            ) from error
        yield listener


def _running(options: Options, *, port: int) -> Running:
    return Running(
        pid=os.getpid(),
        process_start_time=leftover.start_time(os.getpid()) or "",
        url=f"http://{HOST}:{port}",
        port=port,
        account=options.account,
        region=options.region,
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
