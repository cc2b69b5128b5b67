"""The process: a data folder becomes a running local SageMaker, and is left in order.

    hold the folder ─▶ keys ─▶ port ─▶ parts (assembly) ─▶ gateway answers ─▶ running.json
    SIGTERM, SIGINT ─▶ gateway stops ─▶ instances, object store, IAM, store stop

The object store takes about a second to start and is not waited for.
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
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvicorn

from portside.errors import PortsideError
from portside.local import data_folder, listener
from portside.local.assembly import Ground, assemble
from portside.local.clock import SystemClock
from portside.local.data_folder import OWN_STORE, DataFolder, Keys, Running
from portside.local.gateway import Gateway
from portside.local.instance import leftover
from portside.local.option import Options
from portside.local.platform import Platform

_DRAIN_S: Final = 5
"""How long requests in flight have at the end, before they are cut off."""
_IDLE_S: Final = 75
"""How long a connection may be silent, as nginx has it: uvicorn's 5 s end just when a client that
asks every few seconds sends its next request, and a client that tries once sees that as a fault."""
_LOG_BYTES: Final = 10 * 1024 * 1024
_BACKLOG: Final = 512


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
    address = urlsplit(running.url).netloc
    ground = Ground(folder=folder, keys=keys, options=options, clock=clock, address=address)
    platform = Platform(folder, assemble=partial(assemble, ground))
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
            timeout_keep_alive=_IDLE_S,
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
