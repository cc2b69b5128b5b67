"""`portside deploy` against the local SageMaker: whole processes, from the shell's side.

    nothing to do    a project that is deployed as it is; what was asked, of which nothing writes
    code changed     a new line in the handler, to InService on it, with a sample asked
    from nothing     the artifact packaged, an empty account, to InService, with a sample asked

Each a number of times, in an order that lets none of them have the quiet moments; medians.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.place import WORK, say

MOST_NOTHING_S: Final = 1.0
MOST_CHANGE_S: Final = 5.0
MOST_FIRST_S: Final = 8.0

ROUNDS: Final = 5

_HANDLER: Final = "def predict(data, model):\n    return data\n"
_WRITES: Final = re.compile(
    r" PUT | DELETE | POST /\S|\.(?:Create|Update|Delete|Put|Add|Register|Initiate|Upload)[A-Z]"
)
"""Of a line of the gateway's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySpeed:
    """Medians in seconds, and what a deployment with nothing to do asked, and wrote."""

    nothing_s: float
    nothing_calls: int
    nothing_writes: int
    change_s: float
    first_s: float


def measure_deploy() -> DeploySpeed:
    """All of it, in a local SageMaker of its own."""
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix="deploy-") as name:
        place = _Place(Path(name))
        place.portside("local", "start")
        try:
            return _measure(place)
        finally:
            place.portside("local", "stop")


class _Place:
    """A project and a local SageMaker, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.project.mkdir()
        self.log = folder / "data" / "gateway.log"
        self.write(0)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        # As where it is installed: with its own bytecode, which some build machines do without.
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        kept["PYTHONPYCACHEPREFIX"] = str(WORK / "bytecode")
        self.environment = kept | {"PORTSIDE_LOCAL_DATA": str(folder / "data")}

    def write(self, version: int) -> None:
        """The project's code, of a version."""
        (self.project / "inference.py").write_text(f"{_HANDLER}# {version}\n", encoding="utf-8")
        (self.project / "request.json").write_text("[1]", encoding="utf-8")

    def portside(self, *arguments: str) -> float:
        """Run a command; the seconds that it took, start and end of its process included."""
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "portside", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise SystemExit(f"bench: `portside {' '.join(arguments)}` failed:\n{done.stderr}")
        return seconds

    def deploy(self) -> float:
        """Bring the project to what it is."""
        return self.portside("deploy", str(self.project))

    def logged(self) -> Sequence[str]:
        """What was asked of the local SageMaker so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if "/_portside/" not in line]


def _measure(place: _Place) -> DeploySpeed:
    first, nothing, change = [], [], []
    place.portside("plan", str(place.project))  # so that the bytecode is there
    for number in range(1, ROUNDS + 1):
        say(f"deploying to the local SageMaker, round {number} of {ROUNDS}")
        place.write(2 * number)
        place.portside("package", str(place.project))
        first.append(place.deploy())
        before = len(place.logged())
        nothing.append(place.deploy())
        asked = place.logged()[before:]
        place.write(2 * number + 1)
        change.append(place.deploy())
        place.portside("destroy", str(place.project), "--bucket")
    return DeploySpeed(
        nothing_s=statistics.median(nothing),
        nothing_calls=len(asked),
        nothing_writes=sum(bool(_WRITES.search(line)) for line in asked),
        change_s=statistics.median(change),
        first_s=statistics.median(first),
    )
