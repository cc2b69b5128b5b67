"""A local SageMaker as a real process, for tests that speak to it from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from portside.local.data_folder import DataFolder, find_running, read_keys


@dataclass
class Local:
    """A local SageMaker that runs as it would for a user."""

    folder: DataFolder
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        running = find_running(self.folder)
        assert running is not None
        return running.url

    def client(self, service: str, **changed: Any) -> Any:
        keys = read_keys(self.folder)
        settings = {
            "endpoint_url": self.url,
            "region_name": "us-east-1",
            "aws_access_key_id": keys.access_key_id,
            "aws_secret_access_key": keys.secret_access_key,
            "config": Config(retries={"total_max_attempts": 2}),
        }
        return boto3.client(service, **(settings | changed))  # type: ignore[call-overload]  # any

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def start(path: Path, *options: str, **variables: str) -> Local:
    command = [sys.executable, "-m", "portside.local", "--data", str(path), "--port", "0", *options]
    environment = {name: value for name, value in os.environ.items() if "AWS" not in name}
    process = subprocess.Popen(
        command, env=environment | variables, stderr=subprocess.PIPE, umask=0o022
    )
    local = Local(DataFolder(path), process)
    until = time.monotonic() + 30
    while find_running(local.folder) is None:
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            _, said = process.communicate()
            pytest.fail(f"it did not start: {said.decode()}")
        time.sleep(0.02)
    return local


def end(local: Local) -> None:
    if local.process.poll() is None:
        local.stop()
    if local.process.stderr is not None:
        local.process.stderr.close()
