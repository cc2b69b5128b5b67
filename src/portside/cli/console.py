"""`portside console`: a page of all endpoints, their state, logs, plots, and a box to try one."""

from __future__ import annotations

import socket

import click
import uvicorn

from portside.cli import output, target
from portside.console.account import Account
from portside.console.app import Console
from portside.errors import PortsideError

DEFAULT_PORT = 4567


@click.command()
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="Port on 127.0.0.1.")
@target.option
def command(port: int, where: str) -> None:
    """Show endpoints in the browser until Ctrl-C: state, logs, plots, a box to try a request.

    \b
    Examples:
      portside console
      portside console --target aws --port 8000
    """
    name = "AWS" if where == target.AWS else "local AWS"
    account = Account(target.connect(where), name=name)
    application = Console(account, place=account.place).application()
    with _listen(port) as listener:
        output.note(f"http://127.0.0.1:{listener.getsockname()[1]} (Ctrl-C ends it)")
        uvicorn.Server(uvicorn.Config(application, log_level="warning")).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise PortsideError(
            f"cannot listen on port {port}: {error.strerror}",
            hint=f"choose another: `portside console --port {port + 1}`",
        ) from error
