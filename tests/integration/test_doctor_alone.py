"""The doctor works where the extras are missing: it is who tells that they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MISSING = ("aiohttp", "boto3", "botocore", "moto", "numpy", "onnxruntime", "torch", "urllib3")

COMMAND = f"""
import sys
for name in {MISSING}:
    sys.modules[name] = None
from portside.cli.application import run
sys.exit(run(sys.argv[1:]))
"""


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "doctor", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_extras_are_findings(tmp_path: Path) -> None:
    (tmp_path / "inference.py").write_text("def predict(data, model):\n    return data\n")

    done = doctor(str(tmp_path))

    missing = [
        each["where"] for each in json.loads(done.stdout) if each["check"] == "machine-extra"
    ]
    assert done.returncode == 1
    assert missing == ["portside[serve]", "portside[local]"]


def test_a_log_is_read_without_any(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("exec /usr/local/bin/serve: exec format error\n")

    done = doctor("--log", str(log))

    assert [each["check"] for each in json.loads(done.stdout)] == ["exec-format"]
