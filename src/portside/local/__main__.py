"""`python -m portside.local --data DIR [--port P] [--account ID] [--region R]`.

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

from portside.errors import PortsideError, UsageError
from portside.local import DEFAULT_PORT, server
from portside.local.data_folder import DataFolder

_LAST_PORT: Final = 65535
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


def _serve(options: server.Options) -> int:
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


def _options() -> server.Options:
    parser = _Parser(prog="python -m portside.local", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder to keep it all in")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument("--account", type=_account, default=server.DEFAULT_ACCOUNT)
    parser.add_argument("--region", default=server.DEFAULT_REGION)
    chosen = parser.parse_args()
    return server.Options(
        data=chosen.data, port=chosen.port, account=chosen.account, region=chosen.region
    )


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"`{text}` is not a port, 0 to {_LAST_PORT}")
    return int(text)


def _account(text: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", text):
        raise argparse.ArgumentTypeError(f"`{text}` is not twelve digits")
    return text


if __name__ == "__main__":
    sys.exit(main())
