"""What is imported when, seen from a process of its own."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("boto3", "botocore", "numpy", "torch", "onnxruntime", "transformers", "moto")


def imported_by(*arguments: str) -> set[str]:
    """The names of all modules that `python` imports with these arguments."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True
    )
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_help_needs_nothing_heavy() -> None:
    imported = imported_by("-m", "portside", "--help")

    assert "click" in imported
    assert imported.isdisjoint(HEAVY)


def test_to_start_the_local_aws_needs_no_aws() -> None:
    imported = imported_by("-m", "portside", "local", "start", "--help")

    assert "subprocess" in imported
    assert imported.isdisjoint({*HEAVY, "aiohttp"})


def test_planning_needs_no_aws() -> None:
    imported = imported_by("-c", "import portside.deploy.plan.plan")

    assert imported.isdisjoint(HEAVY)
