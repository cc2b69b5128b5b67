"""A step of packaging in a process of its own, which leaves a whole folder or none.

What such a step loads (torch, a model's weights) takes over a gigabyte, and goes
back to the machine when the process ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import BinaryIO, Final

from portside.archive.partial import partial_beside
from portside.errors import BuildError

_OFFLINE: Final = ("env", "HF_HUB_OFFLINE=1")
"""A checkpoint's settings can name code for transformers to fetch."""


def run_apart(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    failure: Callable[[str, Path], BuildError],
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Run `python -m MODULE ARGUMENTS… FOLDER`, beside the final name until it is done.

    What it prints is its progress, a step a line; all else goes to a log. A
    failure leaves nothing but the log, and raises what `failure` makes of the
    reason and of the log's path.
    """
    log = folder.with_suffix(".log")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with partial_beside(folder, Path.mkdir) as partial:
        with log.open("wb") as errors:
            command = [*_OFFLINE, sys.executable, "-m", module, *arguments, str(partial)]
            code = _run(command, errors, progress)
        if code != 0:
            raise failure(_reason(log, code), log)
        try:
            partial.replace(folder)
        except OSError:
            if not folder.is_dir():  # else another run has made the same
                raise
        log.unlink(missing_ok=True)


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Inside such a process: what is said is its progress, what is printed goes to the log."""
    stdout = sys.stdout

    def say(step: str) -> None:
        stdout.write(f"{step}\n")
        stdout.flush()

    with redirect_stdout(sys.stderr):
        yield say


def _run(command: list[str], errors: BinaryIO, progress: Callable[[str], None]) -> int:
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
    ) as process:
        try:
            for line in process.stdout or ():
                progress(line.rstrip())
        except BaseException:  # Ctrl-C above all: nothing goes on behind the user's back
            process.kill()
            raise
    return process.returncode


def _reason(log: Path, code: int) -> str:
    """Of a traceback this is the last line; a process that was killed leaves none."""
    if code < 0:
        return f"its process was ended by signal {-code}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {code}"
