"""The process of an instance: from `serve` to the exit code.

    1. settings     from flags and the environment; wrong ones end the process at once
    2. socket       bound and listening, so connections are taken from the first moment
    3. loading      the handler loads in its own thread …
    4. listener     … while HTTP starts up in the main one: `/ping` answers 503, then 200
    5. SIGTERM      no new connections, requests in flight are finished, exit 0

On a multi-model endpoint nothing is loaded before a request asks for it: `/ping`
answers 200 at once.

A handler that cannot be loaded ends the process with exit code 1, its traceback
in the log and the reason in the last line: SageMaker starts the container again
and reports the failing ping, and the log says why.

Exit codes: 0 stopped, 1 failed, 2 wrong flag or variable.

One process, threads only, no semaphores, nothing written to disk: on serverless
an instance runs as an unprivileged user, without `/dev/shm`, on a read-only disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, cast

from portside import contract
from portside.errors import PortsideError
from portside.serving import log
from portside.serving.handlers.find import load_handler
from portside.serving.memory import keep_loaded
from portside.serving.setting import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from portside.serving.handlers.mounted import MountedApp
    from portside.serving.invocation import Handler
    from portside.serving.listener import Listener
    from portside.serving.model_table import ModelTable

_GRACE_S: Final = int(contract.STOP_GRACE_S) - 2
"""For requests in flight after SIGTERM; two seconds before SIGKILL, to end in order."""

_BACKLOG: Final = 2048
"""Connections that may wait to be accepted."""

_ENOUGH_FILES: Final = 16384
"""Open at the same time, connections above all."""

_TELLS_NOBODY: Final = ("ORT_DISABLE_TELEMETRY", "1")
"""onnxruntime has telemetry built in since 1.32; an instance speaks to whoever calls it, alone."""

_logger: Final = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the instance until it is told to stop, and return its exit code."""
    # As the first process of a container Python would ignore SIGTERM until the listener sees to it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    log.configure(sys.stdout)
    _allow_many_connections()
    try:
        settings = read_settings(sys.argv[1:] if argv is None else argv, os.environ)
        os.environ.setdefault(*_TELLS_NOBODY)
        with _bind(settings) as listening:
            return _serve(settings, listening)
    except PortsideError as error:
        _log_reason(error)
        return error.exit_code


# --- The process ----------------------------------------------------------------


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        address = (settings.host, settings.port)
        listening = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python names the address once more, in parentheses.
        reason = str(error.strerror).partition(" (")[0]
        raise PortsideError(
            f"cannot listen on `{settings.host}:{settings.port}`: {reason}",
            hint=f"stop what listens there, or set `{contract.ENV_BIND_TO_PORT}` to a free port",
        ) from error
    # Connections inherit it. asyncio would set it only on sockets that name their protocol,
    # and without it an answer of two packets waits 40 ms for the client's delayed ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _allow_many_connections() -> None:
    """Each is an open file; many systems allow 1024 unless asked."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now < _ENOUGH_FILES <= most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (_ENOUGH_FILES, most))


def _serve(settings: Settings, listening: socket.socket) -> int:
    ready: Future[None] = Future()
    loading: Future[Handler | MountedApp] = Future()
    if settings.models_dir is None:
        handed = (settings, loading)
        threading.Thread(target=_load, args=handed, name="loading", daemon=True).start()

    # Imported now, beside the loading: together they take as long as a small model.
    from portside.serving.app import App  # noqa: PLC0415 - see above
    from portside.serving.listener import Listener  # noqa: PLC0415 - see above
    from portside.serving.session import SessionTable  # noqa: PLC0415 - see above

    expiration_s = settings.session_expiration_s
    app = App(
        limit=settings.queue,
        max_body_bytes=settings.max_body_bytes,
        sessions=SessionTable(expiration_s=expiration_s) if expiration_s else None,
    )
    listener = Listener(app, max_body_bytes=settings.max_body_bytes, grace_s=_GRACE_S)
    ready.add_done_callback(lambda future: listener.stop() if future.exception() else None)

    async def attach() -> None:
        try:
            if settings.models_dir is None:
                await app.attach(await asyncio.wrap_future(loading), call_soon=listener.call_soon)
            else:
                models = _make_models(settings, settings.models_dir, listener)
                app.attach_models(models, call_soon=listener.call_soon)
            ready.set_result(None)
        except Exception as error:  # noqa: BLE001 - told at the end, as the reason to stop
            ready.set_exception(error)

    host, port = listening.getsockname()[:2]
    _logger.info("listening", extra={"fields": {"host": host, "port": port}})
    is_drained = listener.listen(listening, on_start=attach)
    return _finish(ready, is_drained=is_drained)


def _load(settings: Settings, loading: Future[Handler | MountedApp]) -> None:
    """In a thread of its own; all that goes wrong is in the future."""
    started = time.perf_counter()
    try:
        handler = _load_handler(settings, settings.model_dir)
    except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the result
        loading.set_exception(error)
        return
    keep_loaded()
    seconds = round(time.perf_counter() - started, 3)
    fields = {"model_dir": str(settings.model_dir), "seconds": seconds}
    _logger.info("ready", extra={"fields": fields})
    loading.set_result(handler)


def _load_handler(settings: Settings, model_dir: Path) -> Handler | MountedApp:
    return load_handler(
        model_dir,
        program=settings.program,
        strategy=settings.strategy,
        default_accept=settings.default_accept,
        app=settings.app,
        threads=settings.threads,
    )


def _make_models(settings: Settings, models_dir: Path, listener: Listener) -> ModelTable:
    from portside.serving.memory import MemoryBudget, models_limit_bytes  # noqa: PLC0415 - only here
    from portside.serving.model_table import ModelTable  # noqa: PLC0415 - likewise

    limit_bytes = settings.model_memory_bytes or models_limit_bytes()
    _logger.info("room for models", extra={"fields": {"bytes": limit_bytes}})
    return ModelTable(
        # Settings with a folder for models name no app, so it is a handler.
        lambda model_dir: cast("Handler", _load_handler(settings, model_dir)),
        root=models_dir,
        budget=MemoryBudget(limit_bytes),
        limit=settings.queue,
        call_soon=listener.call_soon,
    )


def _finish(ready: Future[None], *, is_drained: bool) -> int:
    """The exit code, once the listener is done."""
    if not ready.done():
        _logger.info("stopped while loading")
        _leave(0)
    if error := ready.exception():
        _log_failure(error)
        _leave(1)
    if not is_drained:
        _logger.error("gave up after %d s on a prediction that still ran", _GRACE_S)
        _leave(1)
    _logger.info("stopped")
    _leave(0)


def _leave(code: int) -> NoReturn:
    """Exit without waiting for the threads that still run, ours or the user's, as Python would."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _log_failure(error: BaseException) -> None:
    """Why the handler was not loaded: a traceback where one helps, last the reason in one line."""
    if isinstance(error, PortsideError):
        if error.__cause__ is not None:
            _logger.error("the handler was not loaded", exc_info=error.__cause__)
        _log_reason(error)
    else:
        _logger.error("the handler was not loaded", exc_info=error)
        _logger.error("%s: %s", type(error).__name__, error)


def _log_reason(error: PortsideError) -> None:
    _logger.error(error.message, extra={"fields": {"hint": error.hint} if error.hint else {}})
