"""The process of an instance: from `serve` to the exit code.

    1. settings     from flags and the environment; wrong ones end the process at once
    2. socket       bound and listening, so connections are taken from the first moment
    3. loading      the handler loads in its own thread …
    4. listener     … while HTTP starts up in the main one: `/ping` answers 503, then 200
    5. SIGTERM      no new connections, requests in flight are finished, exit 0

A handler that cannot be loaded ends the process with exit code 1, its traceback
in the log and the reason in the last line: SageMaker starts the container again
and reports the failing ping, and the log says why.

Exit codes: 0 stopped, 1 failed, 2 wrong flag or variable.

One process, threads only, no semaphores, nothing written to disk: on serverless
an instance runs as an unprivileged user, without `/dev/shm`, on a read-only disk.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from portside import contract
from portside.errors import PortsideError, UsageError
from portside.serving import log
from portside.serving.app import App
from portside.serving.handler import Handler, load_handler
from portside.serving.tasks.strategy import AggregationStrategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - the contract asks for it

_GRACE_S: Final = int(contract.STOP_GRACE_S) - 2
"""For requests in flight after SIGTERM; two seconds before SIGKILL, to end in order."""

_BACKLOG: Final = 2048
"""Connections that may wait to be accepted; uvicorn's own number."""

_logger: Final = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the instance until it is told to stop, and return its exit code."""
    # As the first process of a container Python would ignore SIGTERM until uvicorn sees to it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # The user's code lies in the model folder, where nothing may be written.
    sys.dont_write_bytecode = True
    log.configure(sys.stdout)
    try:
        settings = read_settings(sys.argv[1:] if argv is None else argv, os.environ)
        with _bind(settings) as listening:
            return _serve(settings, listening)
    except PortsideError as error:
        _log_reason(error)
        return error.exit_code


# --- Settings -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set from outside; a flag wins over its variable."""

    model_dir: Path
    host: str
    port: int
    program: str | None
    strategy: AggregationStrategy


def read_settings(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from the command line, without the program's name, and the environment."""
    flags = _parser().parse_args(argv)
    return Settings(
        model_dir=Path(
            flags.model_dir or environ.get(contract.ENV_MODEL_DIR) or contract.MODEL_DIR
        ),
        host=flags.host or environ.get(contract.ENV_BIND_HOST) or _ANY_ADDRESS,
        port=_port(flags.port or environ.get(contract.ENV_BIND_TO_PORT) or str(contract.PORT)),
        program=environ.get(contract.ENV_PROGRAM) or None,
        strategy=_strategy(
            environ.get(contract.ENV_AGGREGATION_STRATEGY) or AggregationStrategy.AVERAGE
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="serve", description="Serve the model in a folder on /ping and /invocations."
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=[contract.SERVE_ARGUMENT],
        help="passed by SageMaker; makes no difference",
    )
    parser.add_argument(
        "--model-dir",
        metavar="DIR",
        help=f"the unpacked model artifact [{contract.ENV_MODEL_DIR}, {contract.MODEL_DIR}]",
    )
    parser.add_argument(
        "--host", help=f"the address to listen on [{contract.ENV_BIND_HOST}, {_ANY_ADDRESS}]"
    )
    parser.add_argument(
        "--port", help=f"the port to listen on [{contract.ENV_BIND_TO_PORT}, {contract.PORT}]"
    )
    return parser


def _port(text: str) -> int:
    # Port 0 lets the system choose; the log then says which.
    if not text.isdecimal() or int(text) > 65535:
        raise UsageError(
            f"cannot listen on port `{text}`: not a number from 0 to 65535",
            hint=f"set `--port` or `{contract.ENV_BIND_TO_PORT}` to the port",
        )
    return int(text)


def _strategy(name: str) -> AggregationStrategy:
    try:
        return AggregationStrategy(name)
    except ValueError as error:
        names = ", ".join(f"`{strategy}`" for strategy in AggregationStrategy)
        raise UsageError(
            f"no aggregation strategy `{name}`",
            hint=f"set `{contract.ENV_AGGREGATION_STRATEGY}` to one of {names}",
        ) from error


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


def _serve(settings: Settings, listening: socket.socket) -> int:
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="handler")
    loading = executor.submit(_load, settings)
    app = App(loading, executor)

    # Imported now, beside the loading: it takes as long as a small model.
    from portside.serving.listener import Listener  # noqa: PLC0415 - see above

    listener = Listener(app, grace_s=_GRACE_S)
    loading.add_done_callback(lambda _: listener.stop() if loading.exception() else None)
    host, port = listening.getsockname()[:2]
    _logger.info("listening", extra={"fields": {"host": host, "port": port}})
    listener.listen(listening)
    return _finish(loading, app, executor)


def _load(settings: Settings) -> Handler:
    started = time.perf_counter()
    handler = load_handler(settings.model_dir, program=settings.program, strategy=settings.strategy)
    fields = {
        "model_dir": str(settings.model_dir),
        "seconds": round(time.perf_counter() - started, 3),
    }
    _logger.info("ready", extra={"fields": fields})
    return handler


def _finish(loading: Future[Handler], app: App, executor: ThreadPoolExecutor) -> int:
    """The exit code, once the listener is done."""
    if not loading.done():
        _logger.info("stopped while loading")
        _leave(0)
    if error := loading.exception():
        _log_failure(error)
        _leave(1)
    if app.unfinished:
        _logger.error("gave up after %d s on a prediction that still ran", _GRACE_S)
        _leave(1)
    executor.shutdown()
    _logger.info("stopped")
    return 0


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
