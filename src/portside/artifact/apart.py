"""A step of packaging in a process of its own, which leaves a whole folder or none.

What such a step loads (torch, a model's weights) takes over a gigabyte, and goes
back to the machine when the process ends.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from portside.errors import BuildError


def run_apart(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    failure: Callable[[str, Path], BuildError],
) -> None:
    """Run `python -m MODULE ARGUMENTS… FOLDER`, beside the final name until it is done.

    A failure leaves nothing but the log, and raises what `failure` makes of the
    reason and of the log's path.
    """
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    log = folder.with_suffix(".log")
    partial.mkdir(parents=True)
    try:
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-m", module, *arguments, str(partial)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if done.returncode != 0:
            raise failure(_reason(log, done.returncode), log)
        partial.replace(folder)
        log.unlink()
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _reason(log: Path, code: int) -> str:
    """Of a traceback this is the last line; a process that was killed leaves none."""
    if code < 0:
        return f"its process was ended by signal {-code}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {code}"
