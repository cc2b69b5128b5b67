"""`portside serve`: the serving runtime alone, as SageMaker would start it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from portside import archive, config, contract
from portside.cli import output, package
from portside.errors import MissingToolError


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--model-data",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Serve this model.tar.gz instead of packaging DIR.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=contract.PORT, show_default=True, help="Port to listen on.")
def command(folder: Path, model_data: Path | None, host: str, port: int) -> None:
    """Run the serving runtime on DIR's model artifact until Ctrl-C.

    \b
    Example:
      portside serve examples/ner
      curl http://127.0.0.1:8080/invocations --json '{"strings": ["Ada lives in London"]}'
    """
    if importlib.util.find_spec("httptools") is None:
        raise MissingToolError(
            "cannot serve: the serving runtime is not installed",
            hint="run `pip install 'portside[serve]'`, or in a clone `pip install -e '.[serve]'`",
        )
    made = model_data or package.make(config.load(folder)).path
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portside-serve-")))
        model_dir = scratch / "model"
        archive.unpack(made, model_dir)
        output.note(f"serving {made} on http://{host}:{port} (Ctrl-C ends it)")
        code = _run(model_dir, host=host, port=port)
    sys.exit(code)


def _run(model_dir: Path, *, host: str, port: int) -> int:
    """The runtime as a child with the instance's own command line; Ctrl-C reaches both."""
    environment = os.environ | {
        contract.ENV_MODEL_DIR: str(model_dir),
        contract.ENV_BIND_TO_PORT: str(port),
        contract.ENV_BIND_HOST: host,
    }
    argv = [sys.executable, "-m", "portside.serving", contract.SERVE_ARGUMENT]
    with subprocess.Popen(argv, env=environment) as process:
        try:
            return _wait(process)
        finally:
            process.terminate()  # a SIGTERM, unlike Ctrl-C, has reached this process alone


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the child got it too and is finishing what is in flight
