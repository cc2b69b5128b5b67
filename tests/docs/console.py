"""Console blocks of a document, run as a reader would run them, one shell a document.

A block is fenced as `console`: lines that begin with `$ ` are commands, the lines below
each are what it prints. `…` in an expected line stands for any text on that line, a line
of `…` alone for any number of lines.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_END = "--- end of output, exit code "


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a document with the output that is promised."""

    line: str
    expected: str


def commands(document: Path) -> Iterator[Command]:
    """The commands of all console blocks, in order."""
    for block in _BLOCK.findall(document.read_text(encoding="utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, expected = part.partition("\n")
            while line.endswith("\\"):
                more, _, expected = expected.partition("\n")
                line = f"{line[:-1]}{more}"
            yield Command(line=line, expected=expected.strip("\n"))


def matches(expected: str, printed: str) -> bool:
    """Whether the output is what was promised; an empty promise allows anything."""
    if not expected:
        return True
    lines = []
    for line in expected.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(
                ".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ ]*\n"
            )
    return re.fullmatch("".join(lines), _without_waits(printed)) is not None


def _without_waits(printed: str) -> str:
    """The output without what a slow machine shows while something is done.

    That is `… doing`, and its progress up to `✓ doing`.
    """
    kept, awaited = [], ""
    lines = printed.strip("\n").splitlines()
    for number, line in enumerate(lines):
        ending = f"✓ {line[2:]}"
        if line.startswith(awaited):
            awaited = ""
        if line[:2] == "… " and any(later.startswith(ending) for later in lines[number:]):
            awaited = ending
        elif not awaited:
            kept.append(line)
    return "\n".join(kept) + "\n"


class Shell:
    """A bash that keeps its variables from one command to the next."""

    def __init__(self, *, cwd: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=cwd,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, line: str) -> tuple[str, int]:
        """What a command prints, and its exit code."""
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the shell has no pipes")
        process.stdin.write(f"{line} </dev/null\necho '{_END}'$?\n")
        process.stdin.flush()
        printed = ""
        for read in process.stdout:
            before, end, code = read.partition(_END)
            printed += before
            if end:
                return printed, int(code)
        raise RuntimeError(f"the shell ended in `{line}`:\n{printed}")

    def close(self) -> None:
        """End the shell."""
        self._process.communicate("exit\n", timeout=10)
