"""A step of packaging in a process of its own, which leaves a whole folder or none.

What such a step loads (torch, a model's weights) takes over a gigabyte, and goes
back to the machine when the process ends.

    .NAME.*.partial/made   what the step makes; becomes NAME at the end
    .NAME.*.partial/log    all that it prints but its progress; becomes NAME.log if it fails
    .NAME.*.partial/tmp    its temporary files
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from portside.archive.disk import disk_full, ran_full, writing
from portside.archive.partial import partial_beside
from portside.errors import BuildError

_ALONE: Final = ("HF_HUB_OFFLINE=1", "ORT_DISABLE_TELEMETRY=1")
"""A checkpoint's settings can name code for transformers to fetch; onnxruntime has telemetry."""


class Run(Protocol):
    """Whoever runs such a step; see `run_apart`."""

    def __call__(
        self,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        *,
        failure: Callable[[str, Path], BuildError],
    ) -> None: ...


def run_apart(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    failure: Callable[[str, Path], BuildError],
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Run `python -m MODULE ARGUMENTS… FOLDER`, beside the final name until it is done.

    What it prints is its progress, a step a line. A failure leaves nothing but the log, and
    raises what `failure` makes of the reason and of the log's path; a full disk is told of
    by itself. The process ends with this one, however this one ends.
    """
    log = folder.with_suffix(".log")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with writing(folder), partial_beside(folder, Path.mkdir) as partial:
        made, said, scratch = partial / "made", partial / "log", partial / "tmp"
        made.mkdir()
        scratch.mkdir()
        with said.open("wb") as errors:
            command = ["env", *_ALONE, f"TMPDIR={scratch}", sys.executable]
            command += ["-m", "portside.artifact.apart_process", module, *arguments, str(made)]
            code = _run(command, errors, progress)
        if code != 0:
            text = said.read_text(encoding="utf-8", errors="replace")
            if ran_full(partial, text):
                raise disk_full(folder)
            said.replace(log)
            raise failure(_reason(text, code), log)
        try:
            made.replace(folder)
        except OSError:
            if not folder.is_dir():  # else another run has made the same
                raise
    log.unlink(missing_ok=True)  # an earlier run's


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
    # Nothing is written to its stdin, by whose end it learns of ours: see `apart_process`.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
    ) as process:
        try:
            for line in process.stdout or ():
                progress(line.rstrip())
            return process.wait()
        except BaseException:  # Ctrl-C above all: nothing goes on behind the user's back
            process.kill()
            raise


def _reason(said: str, code: int) -> str:
    """Of a traceback this is the last line; a process that was killed leaves none."""
    if code < 0:
        return f"its process was ended by signal {-code}"
    lines = said.strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {code}"
