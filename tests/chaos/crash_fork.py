"""`python -m tests.chaos.crash_fork`: commands of Portside in processes that need no start.

    {"arguments": [...], "output": PATH} ─▶ fork ─▶ its pid ─▶ it runs ─▶ its exit code

One line of JSON in for each, two lines out. All is imported once, so a process costs a fork; it
is a process of its own all the same, with a pid that can be killed.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextlib import suppress

from portside.cli import application

COMMANDS = ("deploy", "plan", "rollback", "status", "destroy")


def main() -> None:
    """Serve until the input ends."""
    for name in COMMANDS:
        importlib.import_module(f"portside.cli.{name}")
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _run(asked["arguments"], asked["output"])
        _say(pid)
        # Waited for at once: of a process that nobody waits for, the pid stays.
        _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _run(arguments: list[str], output: str) -> None:
    for number, suffix in ((1, "out"), (2, "err")):
        opened = os.open(f"{output}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
    code = application.EXIT_BUG
    with suppress(SystemExit):
        code = application.run(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
