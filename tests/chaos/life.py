"""A local SageMaker that is killed and started again, with what it is asked through."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import psutil
from botocore.config import Config

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
IMAGE: Final = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/portside-runtime:1"

_START_S: Final = 60
_CONFIG: Final = Config(
    s3={"addressing_style": "path"},
    connect_timeout=5,
    read_timeout=20,
)


@dataclass
class Life:
    """The process, over one data folder, on one port."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again or for the first time, until it answers."""
        with self._lock, (self.data.parent / "chaos.log").open("ab") as log:
            command = [sys.executable, "-m", "portside.local", "--iam", "off"]
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data), "--port", str(self.port)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self.starts += 1
        self.until_answering()

    def until_answering(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/_portside/health", timeout=5):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        raise TimeoutError(f"the local SageMaker does not answer: {self.data.parent}/chaos.log")

    def kill(self) -> None:
        """`kill -9`, without a word to what it started."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        if self.process is None:
            raise LookupError("it was never started")
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)

    def descendants(self) -> list[psutil.Process]:
        """All processes of this life, also those whose parent is gone: by the data folder."""
        found = []
        for process in psutil.process_iter():
            try:
                words = " ".join([*process.cmdline(), *process.environ().values(), process.cwd()])
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                continue
            is_own = process.pid in {os.getpid(), getattr(self.process, "pid", None)}
            if str(self.data) in words and not is_own:
                found.append(process)
        return found

    def client(self, service: str, *, tries: int = 1) -> Any:
        """A client of boto3's that, unless told otherwise, tries once: every answer is known."""
        keys = self.keys()
        session = boto3.session.Session(
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            region_name=REGION,
        )
        config = _CONFIG.merge(Config(retries={"total_max_attempts": tries}))
        return session.client(service, endpoint_url=self.url, config=config)

    def keys(self) -> dict[str, str]:
        content: dict[str, str] = json.loads((self.data / "keys.json").read_text())
        return content
