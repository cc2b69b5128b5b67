"""`python -m portside.local --data DIR [--port P] [--account ID] [--region R]`.

Runs the local SageMaker in the foreground until SIGTERM or Ctrl-C. Exits with 0 then,
and with 1 where it cannot start: the reason and a hint stand on stderr.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from portside.errors import PortsideError
from portside.local import server

_LAST_PORT: Final = 65535


def main() -> int:
    """Read the command line and serve; the exit code."""
    try:
        server.run(_options())
    except PortsideError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return error.exit_code
    return 0


def _options() -> server.Options:
    parser = argparse.ArgumentParser(prog="python -m portside.local", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder to keep it all in")
    parser.add_argument(
        "--port", type=_port, default=server.DEFAULT_PORT, help="0 takes a free one"
    )
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
