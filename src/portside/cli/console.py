"""`portside console`: a page with the endpoints, their logs and a box to try a text."""

from __future__ import annotations

import socket

import click
import uvicorn

from portside.cli import output, target
from portside.console.app import Console
from portside.errors import PortsideError

DEFAULT_PORT = 4567


@click.command()
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="Port on 127.0.0.1.")
@target.option
def command(port: int, where: str) -> None:
    """Show endpoints, their logs and a box to try a text, in the browser, until Ctrl-C.

    \b
    Example:
      portside console
    """
    application = Console(target.connect(where)).application()
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
