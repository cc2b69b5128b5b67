"""The command `portside`: which commands there are, and what happens when one fails.

Each command is a module of its own that is imported only when it is called, so that
`portside --help` needs neither boto3 nor numpy and answers at once.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import traceback

import click

from portside import __version__
from portside.cli import output
from portside.errors import PortsideError

COMMANDS = {
    "demo": "Go the whole way on the bundled example, on this machine",
    "init": "Begin a project: portside.toml, inference.py, a request to try",
    "package": "Make the model artifact, model.tar.gz",
    "build": "Make the container image, without docker",
    "serve": "Run the serving runtime alone, as SageMaker would start it",
    "plan": "Show what `deploy` would do, and do nothing",
    "deploy": "Make the project's endpoints what portside.toml asks for",
    "status": "Show the project's endpoints as they stand",
    "invoke": "Ask an endpoint for one prediction",
    "export": "Write what another client needs: Postman, curl, Python, JavaScript, OpenAPI",
    "logs": "Show what an endpoint's instances printed",
    "rollback": "Move an endpoint back to a config that it ran before",
    "destroy": "Remove everything that this project made",
    "ls": "Show all that Portside made in the account, with age and cost",
    "reap": "Remove endpoints whose ttl is over",
    "doctor": "Find what would go wrong, or went wrong, and how to mend it",
    "console": "Show endpoints, logs and a box to try a text, in the browser",
    "local": "Start, stop and look at the local AWS",
}
"""Name and purpose of each command; the command stands in `cli/<name>.py` as `command`."""

EXIT_USAGE = 2
EXIT_BUG = 70
"""EX_SOFTWARE of sysexits(3)."""


class Commands(click.Group):
    """A group that imports a command when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """All names, in the order of a project's life."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"portside.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """The table above, without importing any of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
    Example:
      portside deploy examples/ner
      portside invoke ner --data '{"strings": ["Ada Lovelace lives in London"]}'
    """,
)
@click.version_option(__version__, prog_name="portside")
def portside() -> None:
    """Take a fine-tuned model to a SageMaker endpoint, on this machine first."""


def main() -> None:
    """Run the command line and end the process with the right exit code."""
    # As an exception, so that what was begun is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command: 0 done, 1 failed, 2 wrong usage or config, 70 a bug."""
    try:
        portside.main(arguments, prog_name="portside", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.Abort:
        output.failure("interrupted", hint="run the same command again: it goes on from here")
        return 130  # 128 + SIGINT, as shells count
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except PortsideError as error:
        output.failure(error.message, hint=error.hint)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output is gone (`portside logs | head`): nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            return _bug(error)
        output.failure(
            f"cannot use `{error.filename}`: {error.strerror}",
            hint="choose another place, or mend its permissions or the disk's space",
        )
        return 1
    except Exception as error:  # noqa: BLE001  the one place where everything else is a bug
        return _bug(error)
    return 0


def _bug(error: Exception) -> int:
    output.failure(
        f"this is a bug in Portside: {type(error).__name__}: {error}",
        hint=f"report it with the traceback in {_save_traceback()}",
    )
    return EXIT_BUG


def _save_traceback() -> str:
    with tempfile.NamedTemporaryFile(
        "w", prefix="portside-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"portside {__version__}\n{' '.join(sys.argv)}\n\n{traceback.format_exc()}")
    return file.name
