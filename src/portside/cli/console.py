"""`portside console`: a page with the endpoints, their logs and a box to try a text."""

from __future__ import annotations

import click
import uvicorn

from portside.cli import output, target
from portside.console.app import Console

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
    output.note(f"http://127.0.0.1:{port} (Ctrl-C ends it)")
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="warning")
