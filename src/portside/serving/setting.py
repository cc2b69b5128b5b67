"""What can be set from outside: flags and variables, read and checked once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portside import contract
from portside.errors import UsageError
from portside.serving.batcher import QueueLimit
from portside.serving.tasks.strategy import AggregationStrategy

_ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - the contract asks for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an instance is told; a flag wins over its variable."""

    model_dir: Path
    host: str
    port: int
    program: str | None
    app: str | None
    strategy: AggregationStrategy
    default_accept: str | None
    threads: int
    max_body_bytes: int
    queue: QueueLimit
    models_dir: Path | None
    """Where models are loaded from, told to by requests; None where there is one model."""
    model_memory_bytes: int | None
    """What such models may take together; None for what the machine has."""
    session_expiration_s: float | None
    """None where there are no sessions."""


def read_settings(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from the command line, without the program's name, and the environment."""
    flags = _parser().parse_args(argv)
    payload_mb = _number(environ, contract.ENV_MAX_PAYLOAD_MB, 0)
    return Settings(
        model_dir=Path(
            flags.model_dir or environ.get(contract.ENV_MODEL_DIR) or contract.MODEL_DIR
        ),
        host=flags.host or environ.get(contract.ENV_BIND_HOST) or _ANY_ADDRESS,
        port=_port(flags.port or environ.get(contract.ENV_BIND_TO_PORT) or str(contract.PORT)),
        program=environ.get(contract.ENV_PROGRAM) or None,
        app=environ.get(contract.ENV_APP) or None,
        strategy=_strategy(
            environ.get(contract.ENV_AGGREGATION_STRATEGY) or AggregationStrategy.AVERAGE
        ),
        default_accept=environ.get(contract.ENV_DEFAULT_ACCEPT) or None,
        threads=int(_number(environ, contract.ENV_THREADS, 1, least=1)),
        max_body_bytes=int(payload_mb * 2**20) or contract.REALTIME_PAYLOAD_BYTES,
        queue=QueueLimit(
            requests=int(
                _number(environ, contract.ENV_MAX_QUEUE_SIZE, QueueLimit().requests, least=1)
            ),
            timeout_s=_number(
                environ, contract.ENV_TIMEOUT, contract.INVOCATION_TIMEOUT_S, least=0.001
            ),
        ),
        # An app has routes of its own for models, if any.
        models_dir=None if environ.get(contract.ENV_APP) else _models_dir(environ),
        model_memory_bytes=int(_number(environ, contract.ENV_MODEL_MEMORY_MB, 0) * 2**20) or None,
        session_expiration_s=_session_expiration_s(environ),
    )


def _models_dir(environ: Mapping[str, str]) -> Path | None:
    if not _is_on(environ, contract.ENV_MULTI_MODEL):
        return None
    return Path(environ.get(contract.ENV_MODELS_DIR) or contract.MODELS_DIR)


def _session_expiration_s(environ: Mapping[str, str]) -> float | None:
    if not _is_on(environ, contract.ENV_SESSIONS):
        return None
    name = contract.ENV_SESSIONS_EXPIRATION
    return _number(environ, name, contract.SESSION_EXPIRATION_S, least=1)


def _is_on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() in {"true", "1"}


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


def _number(environ: Mapping[str, str], name: str, default: float, *, least: float = 0) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not least <= value < float("inf"):
        raise UsageError(
            f"`{name}` is `{text}`, not a number of at least {least:g}",
            hint=f"mend or unset `{name}`",
        )
    return value
