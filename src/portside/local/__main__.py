"""`python -m portside.local --data DIR [--port P] [--host H --allow-remote] [--s3 URL] …`.

Runs the local SageMaker in the foreground until SIGTERM or Ctrl-C, and exits with 0 then;
with 1 where it cannot start, 2 for a wrong command line, 70 for a bug. The reason and a
hint stand on stderr.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from pathlib import Path
from typing import Final, NoReturn

from portside.contract import INVOCATION_TIMEOUT_S
from portside.errors import PortsideError, UsageError
from portside.local import DEFAULT_IDLE_TIMEOUT_S, DEFAULT_PORT, listener, server
from portside.local.data_folder import DataFolder
from portside.local.instance.launcher import EngineChoice
from portside.local.option import DEFAULT_ACCOUNT, DEFAULT_REGION, Options
from portside.local.s3 import existing_store
from portside.local.signature import own_key

_LAST_PORT: Final = 65535
_MAX_PACE: Final = 60
"""A minute of AWS is then a second, which is as finely as metrics are kept."""
_BUG: Final = 70
"""EX_SOFTWARE of sysexits(3), as everywhere on Portside's command line."""

_log = logging.getLogger(__name__)


def main() -> int:
    """Read the command line and serve; the exit code."""
    os.umask(0o077)  # what users' models and logs say is for their own eyes
    _forget_settings()
    try:
        options = _options()
        return _serve(options)
    except PortsideError as error:
        _say(error)
        return error.exit_code


def _serve(options: Options) -> int:
    try:
        server.run(options)
    except PortsideError:
        raise
    except Exception as error:  # noqa: BLE001  told in one line, the traceback kept
        _log.exception("the local SageMaker ended with an error of its own")
        first_line = str(error).partition("\n")[0]
        _say(
            PortsideError(
                f"the local SageMaker ended: {type(error).__name__}: {first_line}",
                hint=f"read why in `{DataFolder(options.data.absolute()).gateway_log}`",
            )
        )
        return _BUG
    return 0


def _say(error: PortsideError) -> None:
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")


def _forget_settings() -> None:
    """Keep the user's AWS and moto settings from what runs in here.

    To word a refusal moto makes a session of botocore's, which fails where `AWS_PROFILE` names
    a profile that is not there or `~/.aws/config` is damaged.
    """
    for name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_"))]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it in our form."""
        raise UsageError(message, hint="run `python -m portside.local --help`")


def _options() -> Options:
    parser = _Parser(prog="python -m portside.local", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder to keep it all in")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument("--host", default=listener.LOOPBACK, help="the address to listen on")
    parser.add_argument("--allow-remote", action="store_true", help="let other machines reach it")
    parser.add_argument("--s3", metavar="URL", help="keep objects in the store that is there")
    parser.add_argument("--account", type=_account, default=DEFAULT_ACCOUNT)
    parser.add_argument("--region", type=_region, default=DEFAULT_REGION)
    parser.add_argument(
        "--engine", choices=[*EngineChoice], default=EngineChoice.AUTO, help="what runs instances"
    )
    parser.add_argument("--iam", choices=["on", "off"], default="on", help="check roles")
    parser.add_argument("--idle-timeout-s", type=_seconds, default=DEFAULT_IDLE_TIMEOUT_S)
    parser.add_argument("--invocation-timeout-s", type=_seconds, default=INVOCATION_TIMEOUT_S)
    parser.add_argument("--pace", type=_pace, default=1.0, help="1 to 60 times faster waits")
    parser.add_argument("--strict-payload", action="store_true", help="6 MB, not 25")
    chosen = parser.parse_args()
    return Options(
        data=chosen.data,
        host=chosen.host,
        allow_remote=chosen.allow_remote,
        port=chosen.port,
        account=chosen.account,
        region=chosen.region,
        engine=EngineChoice(chosen.engine),
        iam=chosen.iam == "on",
        idle_timeout_s=chosen.idle_timeout_s,
        invocation_timeout_s=chosen.invocation_timeout_s,
        pace=chosen.pace,
        strict_payload=chosen.strict_payload,
        keys=own_key.gateway_keys(os.environ),
        s3=existing_store.at(chosen.s3, os.environ) if chosen.s3 else None,
    )


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"`{text}` is not a port, 0 to {_LAST_PORT}")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of seconds above 0")
    return float(text)


def _pace(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", text) or not 1 <= float(text) <= _MAX_PACE:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number from 1 to {_MAX_PACE}")
    return float(text)


def _region(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", text):  # as in the ARNs of botocore's models
        raise argparse.ArgumentTypeError(f"`{text}` is not a region, as us-east-1 is one")
    return text


def _account(text: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", text):
        raise argparse.ArgumentTypeError(f"`{text}` is not twelve digits")
    return text


def _end(code: int) -> NoReturn:
    """Leave at once: all is closed, and Python takes long to take moto's modules apart."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _end(main())
