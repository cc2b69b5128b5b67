"""`kill -9` of the local AWS loses nothing that was answered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.e2e.conftest import Portside


def test_endpoints_come_back_after_kill_9(portside: Portside, tmp_path: Path) -> None:
    project = tmp_path / "shout"
    portside("init", project)
    portside("deploy", project)
    before = portside("local", "status", "--json").json
    children = psutil.Process(before["pid"]).children(recursive=True)

    os.kill(before["pid"], signal.SIGKILL)
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running()]

    portside("local", "start")
    wait_in_service(portside, project)
    answer = portside("invoke", "shout", "--file", project / "request.json", "--json")
    assert json.loads(answer.out) == ["ADA LOVELACE LIVES IN LONDON"]
    assert portside("plan", project, "--json").json == []


def test_a_deployment_that_was_cut_goes_on(portside: Portside, tmp_path: Path) -> None:
    project = tmp_path / "shout"
    portside("init", project)
    portside("local", "start")
    pid = portside("local", "status", "--json").json["pid"]
    handler = project / "inference.py"
    handler.write_text(handler.read_text() + "\n\nimport time\n\ntime.sleep(3)\n")

    deploying = subprocess.Popen(
        [sys.executable, "-m", "portside", "deploy", str(project)],
        env=portside.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while time.monotonic() < until:
        (now,) = portside("status", project, "--json").json
        if now["status"] == "Creating":
            break
    os.kill(pid, signal.SIGKILL)
    assert deploying.wait(timeout=60) == 1

    assert "is InService" in portside("deploy", project).out


def wait_in_service(portside: Portside, project: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        (now,) = portside("status", project, "--json").json
        if now["status"] == "InService":
            return
        time.sleep(0.1)
    raise AssertionError(f"the endpoint did not come back: {now}")
